"""Readers of the files that VGG weights come in, one module per format.

Every reader has `recognize(head, names, path)`, which gets the first bytes and the names of a zip's members and never
looks at the file's name, and `read(path, architectures)`, which returns a `layout.StoredNetwork` in this package's
convention. All files are taken for hostile: declared sizes, counts and shapes are checked before anything is read, no
reader runs code from a file, and no reader follows a link out of one. `registry` chooses the reader; `isolation` does
so in a child process, for what C libraries do not check; `jaxstyle.vgg.weights` checks the result.
"""
