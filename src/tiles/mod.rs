//! Vector tiles from the snapshot: address, simplification, clipping, encoding, heat grid, cache.
