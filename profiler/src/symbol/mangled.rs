//! Names as compilers mangle them, written as the programmer did.
//!
//! In: a symbol's name. Out: what C++ (`_Z…`) and Rust (`_R…`, `_ZN…17h…E`) mean by it; any other name was chosen by a
//! programmer and stays as it is. An example: `a` and `Pc` are functions of C, not `signed char` and `char*`.

use std::borrow::Cow;

/// The name to show.
pub fn demangle(name: &str) -> Cow<'_, str> {
    if !(name.starts_with("_Z") || name.starts_with("_R")) {
        return Cow::Borrowed(name);
    }
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return Cow::Owned(format!("{rust:#}"));
    }
    let cpp = cpp_demangle::Symbol::new(name).ok().and_then(|symbol| symbol.demangle().ok());
    cpp.map_or(Cow::Borrowed(name), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_compiler_mangled_is_demangled() {
        for (name, expected) in [
            ("_ZN4shop4Till4ringEi", "shop::Till::ring(int)"),
            ("_Z3addii", "add(int, int)"),
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
        ] {
            assert_eq!(demangle(name), expected);
        }
        for plain in
            ["a", "Pc", "i", "f", "v", "RNvC3foo3bar", "ZN3foo3barE", "_Rx", "_Z", "St", "main", "", "_"]
        {
            assert_eq!(demangle(plain), plain);
        }
    }
}
