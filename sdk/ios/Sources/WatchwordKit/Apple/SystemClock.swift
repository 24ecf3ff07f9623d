import Foundation

/// The phone's clocks.
///
/// Boot time is `CLOCK_MONOTONIC_RAW` on Apple's systems, which goes on in sleep and is what Apple prefers to
/// `mach_continuous_time` (https://developer.apple.com/documentation/driverkit/mach_continuous_time.md, read 2026-11-30);
/// on Linux `CLOCK_BOOTTIME`. Linux's clock of Apple's name stops in sleep.
struct SystemClock: DeviceClock {
    /// Another text after each start of the phone; where the system names none, each process is a start of its own, and times that
    /// were kept are void.
    let bootID = systemBootID() ?? UUID().uuidString

    func wall() -> Double { Date().timeIntervalSince1970 }

    func boot() -> Double {
        #if canImport(Darwin)
            return Double(clock_gettime_nsec_np(CLOCK_MONOTONIC_RAW)) / 1e9
        #else
            var time = timespec()
            clock_gettime(CLOCK_BOOTTIME, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        #endif
    }
}

private func systemBootID() -> String? {
    #if canImport(Darwin)
        var size = 0
        guard sysctlbyname("kern.bootsessionuuid", nil, &size, nil, 0) == 0, size > 1 else { return nil }
        var text = [CChar](repeating: 0, count: size)
        guard sysctlbyname("kern.bootsessionuuid", &text, &size, nil, 0) == 0 else { return nil }
        return String(cString: text)
    #else
        let text = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
        return text?.trimmingCharacters(in: .whitespacesAndNewlines)
    #endif
}
