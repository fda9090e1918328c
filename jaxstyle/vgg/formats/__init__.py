"""Readers of VGG weight files, one module per format.

Every reader has two functions. `recognize(head, names, path)` gets the file's first bytes and the names of its members
if it is a zip; it does not use the file's name. `read(path, architectures)` returns a `layout.StoredNetwork` in this
package's convention. Every file is treated as hostile: declared sizes, counts and shapes are checked before data is
read, no reader runs code from a file, and no reader follows a link out of one. `registry` chooses the reader;
`isolation` runs it in a child process, because C libraries check less; `jaxstyle.vgg.weights` checks the result.
"""
