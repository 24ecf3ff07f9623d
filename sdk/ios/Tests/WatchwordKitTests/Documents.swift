import Foundation

@testable import WatchwordKit

/// Returns a file of the repository's `docs`, found from where this file stands.
func documentData(_ name: String) throws -> Data {
    var folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    while folder.path != "/" {
        let file = folder.appendingPathComponent("docs").appendingPathComponent(name)
        if FileManager.default.fileExists(atPath: file.path) { return try Data(contentsOf: file) }
        folder.deleteLastPathComponent()
    }
    throw MalformedError(message: "got no docs/\(name) above \(#filePath)")
}

extension Data {
    /// Makes the bytes that are written in hexadecimal.
    init(hex: String) throws {
        let digits = try hex.map { character -> UInt8 in
            guard let digit = character.hexDigitValue else { throw MalformedError(message: "got no hexadecimal") }
            return UInt8(digit)
        }
        self.init(stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
    }

    var hex: String { map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() }
}

/// A generator that says the same for the same seed (SplitMix64), so that what fails once fails again.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> Data { Data((0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }) }
}
