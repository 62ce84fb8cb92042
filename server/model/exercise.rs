//! What must hold of any text that should be one of the model's words. Pure.

use super::Mac;

/// What reads as a MAC is written so that it reads as the same one.
pub(crate) fn mac(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<Mac>() {
        Ok(mac) => {
            assert_eq!(mac.to_string().parse(), Ok(mac));
            assert_eq!(mac.hyphenated().parse(), Ok(mac));
            assert_eq!(text.to_uppercase().parse(), Ok(mac));
        }
        Err(refusal) => assert!(!refusal.to_string().chars().any(char::is_control)),
    }
}
