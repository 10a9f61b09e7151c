//! A dishonest validator: the others refuse what it sends, name it, and go on.
