import Foundation
import Testing

@testable import WatchwordKit

/// Documents that somebody changed: each is read or refused, nothing ends the app, and nothing forged is taken.
@Suite struct HostilePinsTests {
    private static let rounds = 300
    private static let set = ["set-5", "set-full", "set-bounds", "set-9-thief"]
    private static let roots = ["roots-2", "roots-2-crowd", "roots-2-floors"]

    /// Changes, adds, leaves out or doubles a few bytes.
    private func changed(_ data: Data, _ random: inout SeededGenerator) -> Data {
        var bytes = [UInt8](data)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let place = Int.random(in: 0...bytes.count, using: &random)
            let end = min(bytes.count, place + Int.random(in: 0...40, using: &random))
            switch Int.random(in: 0..<5, using: &random) {
            case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes.insert(contentsOf: random.bytes(3), at: place)
            case 2: bytes.removeSubrange(place..<end)
            case 3: bytes.insert(contentsOf: bytes[place..<end], at: place)
            default: bytes.insert(#".{}[]":,-eE\u0"#.utf8.randomElement(using: &random) ?? 0, at: place)
            }
        }
        return Data(bytes)
    }

    @Test(arguments: set)
    func setsAreReadOrRefused(_ name: String) throws {
        var random = SeededGenerator(seed: 5)
        let data = try PinFile.data(name)
        let fresh = Installed(try PinFile.builtin("builtin"))
        for _ in 0..<Self.rounds {
            let forged = changed(data, &random)
            var installed = fresh
            do {
                try installed.take(set: forged, now: pinsNow)
                // What is taken is what was signed: the change undid itself, or fell on a signature's other half.
                #expect(forged.split(separator: 0x2e).prefix(2) == data.split(separator: 0x2e).prefix(2))
            } catch {
                #expect(error is PinRefusal)
                #expect(installed == fresh)
            }
        }
    }

    @Test(arguments: roots)
    func rootListsAreReadOrRefused(_ name: String) throws {
        var random = SeededGenerator(seed: 7)
        let data = try PinFile.data(name)
        let fresh = Installed(try PinFile.builtin("builtin"))
        var genuine = fresh
        try genuine.take(roots: data)
        for _ in 0..<Self.rounds {
            var installed = fresh
            do {
                try installed.take(roots: changed(data, &random))
                #expect(installed == genuine)
            } catch {
                #expect(error is PinRefusal)
                #expect(installed == fresh)
            }
        }
    }

    /// Behind its signature: what a thief of a pin key could say.
    @Test func payloadsAreReadOrRefused() throws {
        var random = SeededGenerator(seed: 11)
        let data = try PinFile.data("set-full")
        let payload = try Base64URL.decode(String(decoding: data.split(separator: 0x2e)[1], as: UTF8.self))
        let publisher = try PinPublisher(app: "clinic-android")
        let builtin = try PinDocuments.builtin(publisher.builtin())
        var taken = 0
        for _ in 0..<Self.rounds {
            let signed = try publisher.signed(changed(payload, &random))
            var installed = Installed(builtin)
            do {
                try installed.take(set: signed, now: pinsNow)
                taken += 1
                for host in ["api.clinic.example", "", ".", "a.b.c.d.e.f.api.clinic.example"] {
                    _ = installed.judge(host: host, chain: [], now: pinsNow)
                }
            } catch {
                #expect(error is PinRefusal)
            }
        }
        #expect(taken > 0)
    }

    @Test func builtinFilesAreReadOrRefused() throws {
        var random = SeededGenerator(seed: 13)
        let data = try PinFile.data("builtin-full")
        for _ in 0..<Self.rounds {
            do {
                _ = try PinDocuments.builtin(changed(data, &random))
            } catch {
                #expect((error as? PinRefusal)?.reason == "builtin")
            }
        }
    }

    @Test func keptPinsAreReadOrReplaced() async throws {
        var random = SeededGenerator(seed: 17)
        let kept = try KeptPins(lists: [PinFile.data("roots-2")], signed: PinFile.data("set-5"))
        let builtin = try PinFile.builtin("builtin-set-5")
        for _ in 0..<100 {
            let store = PinStore()
            try store.write(changed(kept.written(), &random))
            let updater = PinUpdater(builtin, source: PublishedPins(), store: store, now: { pinsNow }, jitter: { 0.5 })
            // Whatever is there: the host is pinned by a set that was signed.
            #expect(updater.keeper.installed.set?.version == 5)
        }
    }

    /// Names that are others where texts are compared by Unicode's equivalence, as Swift does.
    @Test func namesAreComparedByTheirBytes() throws {
        let publisher = try PinPublisher(app: "clinic-android")
        let builtin = try PinDocuments.builtin(publisher.builtin())
        let payload = try Base64URL.decode(String(decoding: PinFile.data("set-5").split(separator: 0x2e)[1], as: UTF8.self))
        let text = String(decoding: payload, as: UTF8.self)
        func isTaken(_ payload: String, kid: (String) -> String = { $0 }) throws -> Bool {
            var installed = Installed(builtin)
            return (try? installed.take(set: publisher.signed(Data(payload.utf8), kid: kid), now: pinsNow)) != nil
        }
        #expect(try isTaken(text))
        // A kelvin sign is a K to Swift, and never one to any other language.
        #expect(try !isTaken(text, kid: { $0 + "\u{212a}" }))
        var tries = 0
        repeat {
            tries += 1
            let other = try PinPublisher(app: "clinic-android")
            let file = try PinDocuments.builtin(other.builtin())
            guard file.roots.pinKeys.keys.contains(where: { $0.contains(UInt8(ascii: "K")) }) else { continue }
            var installed = Installed(file)
            let forged = try other.signed(Data(text.utf8), kid: { $0.replacingOccurrences(of: "K", with: "\u{212a}") })
            #expect(throws: PinRefusal.self) { try installed.take(set: forged, now: pinsNow) }
            break
        } while tries < 64
    }

    @Test func documentsAreReadUpToTheirSizes() throws {
        let publisher = try PinPublisher(app: "clinic-android")
        let builtin = try PinDocuments.builtin(publisher.builtin())
        let payload = try Base64URL.decode(String(decoding: PinFile.data("set-5").split(separator: 0x2e)[1], as: UTF8.self))
        func set(of size: Int) throws -> Data {
            let short = try publisher.signed(payload).count
            return try publisher.signed(payload + Data(repeating: 0x20, count: (size - short) * 3 / 4))
        }
        let (largest, larger) = (try set(of: PinDocuments.maxSetBytes), try set(of: PinDocuments.maxSetBytes + 4))
        #expect((largest.count...PinDocuments.maxSetBytes).count <= 4 && larger.count > PinDocuments.maxSetBytes)
        #expect(try PinDocuments.set(largest, under: builtin.roots).version == 5)
        #expect(throws: PinRefusal.self) { try PinDocuments.set(larger, under: builtin.roots) }
        // As deep and as many as fit: refused by the cap of levels, of dots, of names.
        for text in [
            String(repeating: "[", count: PinDocuments.maxSetBytes), String(repeating: ".", count: PinDocuments.maxSetBytes),
            String(repeating: "A", count: PinDocuments.maxSetBytes),
        ] {
            #expect(throws: PinRefusal.self) { try PinDocuments.set(Data(text.utf8), under: builtin.roots) }
            #expect(throws: PinRefusal.self) { try PinDocuments.roots(Data(text.utf8), after: nil) }
            #expect(throws: PinRefusal.self) { try PinDocuments.builtin(Data(text.utf8)) }
        }
    }
}
