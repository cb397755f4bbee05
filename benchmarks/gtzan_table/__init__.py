"""Train, select and score on a public feature table: `python -m benchmarks.gtzan_table --table F`.

The project's models, cross-validation, selection and scores, with the settings of `params.yaml`,
on any table with the 57 columns of GTZAN's. All scores are of songs: of a 3 s table, the mean over
a song's segments.

With `--split-column`, the column says `train`, `valid`, `test` or `excluded`:

held out    out-of-fold predictions on train + valid; the selected model has the best macro-F1
validation  models trained on train alone, scored on valid
test        models trained on train + valid, scored on test; these rows decide nothing
calibration of the selected model's held-out predictions, before and after temperature scaling

Temperatures and the weights of the vote come from out-of-fold predictions on the rows that the
models are trained on; which models the vote has is decided on train + valid. Songs with the same
`artist` or `group` (columns of the table) are in one fold. In a table without these columns, as
GTZAN's, songs of one subset whose file numbers lie within 15 count as by one artist.

Without, the protocol `song` draws five splits of 70:15:15, with the seeds 0 to 4. Scores and the
bounds of their intervals are means over the five, `n` is the sum; each stands in `seeds`.

With `--taggrams FILE`, MusiCNN's published tag activations of the clips are a second family of
columns, and every model is trained on either and on both (`joined`), on the same songs: songs
without activations are left out. MusiCNN was trained on commercial recordings with tags, genre
words among them; songs that are scored may be among these.
"""
