"""`genre app`: a page in the browser that tells which genre a song is, on this computer alone.

`page` lays it out (Gradio), `cards` writes its texts as HTML, `model` loads the classifier and what
is known about it, `serving` runs the page on 127.0.0.1, keeps no file, and asks nothing of the
internet. Gradio is an optional dependency, the extra `app`, and is imported only here.
"""
