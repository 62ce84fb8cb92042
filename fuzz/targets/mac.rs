#![no_main]

use rackstrap_fuzz::mac::Mac;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(mac) = text.parse::<Mac>() else { return };
    assert_eq!(mac.to_string().parse(), Ok(mac));
    assert_eq!(mac.hyphenated().parse(), Ok(mac));
    assert_eq!(text.to_uppercase().parse(), Ok(mac));
});
