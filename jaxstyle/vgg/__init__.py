"""The VGG networks that compute features of pictures: their layers, their weight files, and fast convolutions."""
