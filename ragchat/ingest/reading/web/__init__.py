"""Web pages and e-books: the tree of a page, what of it is the page's own, its blocks."""
