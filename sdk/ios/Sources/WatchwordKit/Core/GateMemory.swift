/// What the gates of one API said; shared by all of its requests.
final class GateMemory: Sendable {
    struct Said: Sendable {
        /// The newest nonce of a gate, nil while none gave one.
        var nonce: String?
        /// The gates' time less the boot clock, in seconds; nil while they said nothing that counts.
        var ahead: Double?
        /// Whether a body without a length was refused for that.
        var wantsLength = false
    }

    private let said = Locked(Said())

    /// What was said until now.
    var present: Said { said.withLock { $0 } }

    /// Changes what was said in one step.
    func hear(_ change: (inout Said) -> Void) {
        said.withLock { change(&$0) }
    }
}

/// Reads the header `Date` (RFC 9110 section 5.6.7: IMF-fixdate); seconds since 1970, nil if it isn't one.
func httpDate(_ text: String?) -> Double? {
    // Not by DateFormatter, which also takes what only resembles it, and costs a millisecond to make.
    guard let text, text.utf8.count == 29, text.utf8.allSatisfy({ $0 < 128 }) else { return nil }
    let parts = text.split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 6, weekdays.contains(parts[0]), let month = months.firstIndex(of: parts[2]), parts[5] == "GMT" else {
        return nil
    }
    let clock = parts[4].split(separator: ":", omittingEmptySubsequences: false)
    guard clock.count == 3, let day = number(parts[1], 2, 1...31), let year = number(parts[3], 4, 1...9999),
        let hour = number(clock[0], 2, 0...23), let minute = number(clock[1], 2, 0...59), let second = number(clock[2], 2, 0...60)
    else { return nil }
    // Days since 1970-03-01 by whole years that begin in March, so that a leap day is a year's last.
    let (shifted, sinceMarch) = (month < 2 ? year - 1 : year, (month + 10) % 12)
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + (153 * sinceMarch + 2) / 5 + day - 1 - 719_468
    return Double(((days * 24 + hour) * 60 + minute) * 60 + second)
}

private let weekdays: Set<Substring> = ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"]
private let months: [Substring] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/// Returns the number that so many digits are, nil if there is anything else or it isn't in the range.
private func number(_ digits: Substring, _ count: Int, _ range: ClosedRange<Int>) -> Int? {
    guard digits.utf8.count == count, digits.utf8.allSatisfy({ (48...57).contains($0) }), let value = Int(digits) else { return nil }
    return range.contains(value) ? value : nil
}
