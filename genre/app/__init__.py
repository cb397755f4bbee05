"""`genre app`: a local web page that classifies songs.

`page` is the layout (Gradio), `cards` has the texts as HTML, `model` loads the classifier with its
version and accuracy, `serving` runs the page on 127.0.0.1 without access to the internet. Gradio is
an optional dependency, the extra `app`, and is imported only here.
"""
