//! Folders of this machine and tars, in both directions: unpacking without ever leaving the folder, and comparing a
//! folder with the tar it came from.
