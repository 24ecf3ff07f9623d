import Foundation
import Testing

@testable @_spi(Phone) import WatchwordKit

private func kind(_ action: () throws -> Void) -> DeviceError.Kind? {
    do {
        try action()
        return nil
    } catch {
        return (error as? DeviceError)?.kind
    }
}

@Suite struct KeychainTests {
    private let scratch: Scratch
    private let keychain = FakeKeychain()
    private let store: KeychainStore

    init() throws {
        scratch = try Scratch()
        store = KeychainStore(keychain, account: "session", installation: Installation(file: scratch.file("installation")))
    }

    @Test func keepsOneDocumentAndReplacesIt() throws {
        #expect(try store.read() == nil)
        try store.write(Data("one".utf8))
        try store.write(Data("two".utf8))
        #expect(try store.read() == Data("two".utf8))
        #expect(keychain.log == [.read, .update, .add, .update, .read])
        try store.clear()
        try store.clear()
        #expect(try store.read() == nil)
    }

    @Test func aDocumentMayBeEmpty() throws {
        try store.write(Data())
        #expect(try store.read() == Data())
    }

    @Test func anItemThatAnotherProcessAddedIsReplaced() throws {
        keychain.raceNextAdd(with: Data("other".utf8))
        try store.write(Data("ours".utf8))
        #expect(try store.read() == Data("ours".utf8))
        #expect(keychain.log.prefix(3) == [.update, .add, .update])
    }

    @Test func aLockedPhoneIsTold() throws {
        try store.write(Data("kept".utf8))
        keychain.setLocked(true)
        #expect(kind { _ = try store.read() } == .locked)
        #expect(kind { try store.write(Data("other".utf8)) } == .locked)
        #expect(kind { try store.clear() } == .locked)
        keychain.setLocked(false)
        #expect(try store.read() == Data("kept".utf8))
    }

    @Test func eachCallMayFail() throws {
        for status in [KeychainStatus.missingEntitlement, -50] {
            for call in FakeKeychain.Call.allCases {
                keychain.wipe()
                if call != .add { try store.write(Data("kept".utf8)) }
                keychain.fail(call, status)
                let met = kind {
                    switch call {
                    case .read: _ = try store.read()
                    case .add, .update: try store.write(Data("other".utf8))
                    case .delete: try store.clear()
                    }
                }
                #expect(met == .fault, "\(call)")
                keychain.fail(call, nil)
                #expect(try store.read() == (call == .add ? nil : Data("kept".utf8)))
            }
        }
    }

    @Test func noErrorHoldsWhatIsKept() throws {
        keychain.fail(.update, -50)
        do {
            try store.write(Data("a secret".utf8))
            Issue.record("expected an error")
        } catch {
            #expect(!"\(error)".contains("secret"))
        }
    }

    @Test func anotherInstallationBeginsAnew() throws {
        try store.write(Data("of before".utf8))
        // Who removes an app removes its files, and leaves the Keychain.
        try FileManager.default.removeItem(at: scratch.file("installation"))
        #expect(try store.read() == nil)
        #expect(keychain.isEmpty)
        try store.write(Data("of now".utf8))
        #expect(try store.read() == Data("of now".utf8))
    }

    @Test func anotherInstallationsMarkIsNotOurs() throws {
        try store.write(Data("of before".utf8))
        try Data(count: 15).write(to: scratch.file("installation"))
        #expect(try store.read() == nil)
        #expect(keychain.isEmpty)
    }

    @Test func aMarkThatCannotBeReadWhileThePhoneIsLockedCostsNothing() throws {
        let file = FailingStore()
        let marked = KeychainStore(keychain, account: "session", installation: Installation(file))
        try marked.write(Data("kept".utf8))
        // The Keychain's item can be read from the first unlock on, an app's file perhaps not.
        file.fail(DeviceError(.locked, "the phone is locked"))
        #expect(kind { _ = try marked.read() } == .locked)
        #expect(kind { try marked.write(Data("other".utf8)) } == .locked)
        file.fail(nil)
        #expect(try marked.read() == Data("kept".utf8))
    }

    @Test func anExtensionThatSharesTheKeychainLeavesTheAppsDocumentsAlone() throws {
        let configuration = Watchword.Configuration(service: "https://attest.example", app: "clinic", audiences: ["https://api.example"])
        let stores = ["clinic", "clinic.widget"].map { program in
            Phone(configuration, kind: "phone", directory: scratch.file(program), keychain: keychain, program: program).store("keys")
        }
        try stores[0].write(Data("the app's".utf8))
        #expect(try stores[1].read() == nil)
        try stores[1].write(Data("the extension's".utf8))
        #expect(try stores[0].read() == Data("the app's".utf8))
    }

    @Test func allDocumentsOfAnInstallationHaveOneMark() throws {
        let other = KeychainStore(keychain, account: "keys", installation: Installation(file: scratch.file("installation")))
        try store.write(Data("session".utf8))
        try other.write(Data("keys".utf8))
        #expect(try store.read() == Data("session".utf8))
        #expect(try other.read() == Data("keys".utf8))
    }

    @Test func aPhoneThatCannotKeepAMarkGoesOn() throws {
        // A directory that is a file: nothing can be written below it.
        try Data().write(to: scratch.file("full"))
        let installation = Installation(file: scratch.file("full").appendingPathComponent("installation"))
        let unmarked = KeychainStore(keychain, account: "session", installation: installation)
        try unmarked.write(Data("kept".utf8))
        #expect(try unmarked.read() == Data("kept".utf8))
        #expect(try store.read() == Data("kept".utf8))
    }

    @Test func whatIsTooShortForAMarkIsRemoved() throws {
        keychain.put("session", Data("short".utf8))
        #expect(try store.read() == nil)
        #expect(keychain.isEmpty)
    }
}

@Suite struct FileStoreTests {
    private let scratch: Scratch
    private let store: FileStore

    init() throws {
        scratch = try Scratch()
        store = FileStore(scratch.file("a").appendingPathComponent("pins"))
    }

    @Test func keepsOneDocument() throws {
        #expect(try store.read() == nil)
        try store.write(Data("one".utf8))
        try store.write(Data("two".utf8))
        #expect(try store.read() == Data("two".utf8))
        try store.clear()
        try store.clear()
        #expect(try store.read() == nil)
    }

    @Test func nothingIsReadAboveTheLimit() throws {
        try store.write(Data(count: FileStore.maxBytes))
        #expect(try store.read()?.count == FileStore.maxBytes)
        try store.write(Data(count: FileStore.maxBytes + 1))
        #expect(try store.read() == nil)
    }
}

@Suite struct SystemClockTests {
    @Test func theClocksGo() throws {
        let clock = SystemClock()
        let before = clock.boot()
        #expect(before > 0)
        #expect(clock.boot() >= before)
        #expect(abs(clock.wall() - Date().timeIntervalSince1970) < 60)
        #expect(clock.bootID == SystemClock().bootID)
        #expect(clock.bootID.count == 36)
        #if os(Linux)
            let uptime = try String(contentsOfFile: "/proc/uptime", encoding: .utf8).split(separator: " ")
            #expect(abs(try #require(Double(uptime[0])) - clock.boot()) < 60)
        #endif
    }
}
