//! The table of scalar functions.

/// A scalar function.
#[derive(Debug)]
pub struct Function {
    /// Its name in SQL, in lower case.
    pub name: &'static str,
}

impl PartialEq for Function {
    fn eq(&self, other: &Function) -> bool {
        self.name == other.name
    }
}
