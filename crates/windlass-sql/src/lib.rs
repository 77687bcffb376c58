//! Our statements: text to tree to text
