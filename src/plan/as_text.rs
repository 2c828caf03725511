//! Values as text.

/// A value through its type's output function, after `cast`. A composite of NULLs is no NULL.
pub(super) fn output(value: &str, cast: &str) -> String {
    format!("case when {value} is distinct from null then concat({value}{cast}) end")
}

/// The bytes of a text, in hexadecimal digits: no conversion can refuse them.
pub(super) fn as_it_is(text: &str) -> String {
    format!("encode(convert_to({text}, getdatabaseencoding()), 'hex')")
}
