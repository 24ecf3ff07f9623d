import Foundation
import Testing

@testable import WatchwordKit

private let host = "api.clinic.example"

/// What an installation fetches and keeps, with the documents of the vectors.
@Suite struct PinUpdaterTests {
    private let source = PublishedPins()
    private let store = PinStore()
    private let clock = PinClock()

    private func updater(_ builtin: String = "builtin") throws -> PinUpdater {
        PinUpdater(try PinFile.builtin(builtin), source: source, store: store, now: { [clock] in clock.now }, jitter: { 0.5 })
    }

    private func state(_ updater: PinUpdater) -> [Int64?] {
        let installed = updater.keeper.installed
        return [installed.roots.version, installed.set?.version, installed.seen]
    }

    @Test func listsAreWalkedAndTheSetIsTakenAndARestartBeginsThere() async throws {
        source.change { $0.lists = [2: "roots-2", 3: "roots-3"] }
        source.change { $0.set = "set-5-pin2" }
        let first = try updater()
        await first.update()
        #expect(first.failure == nil)
        #expect(state(first) == [3, 5, 5])
        source.change { $0.isOut = true }
        let second = try updater()
        #expect(state(second) == [3, 5, 5])
        #expect(second.fault == nil)
    }

    @Test func tagGoesBackAndIsDroppedWithANewList() async throws {
        source.change { $0.set = "set-5" }
        let updater = try updater()
        await updater.update()
        await updater.update()
        source.change { $0.lists[2] = "roots-2" }
        await updater.update()
        #expect(source.change { $0.tags } == [nil, "set-5", nil])
        #expect(state(updater) == [2, 5, 5])
    }

    @Test func listCountsAndIsKeptWhereTheSetBehindItIsRefused() async throws {
        source.change { $0.set = "set-5" }
        let updater = try updater()
        await updater.update()
        source.change { $0.lists[2] = "roots-2-without-pin1" }
        await updater.update()
        #expect(updater.failure?.hasPrefix("pins.set_key") == true)
        #expect(state(updater) == [2, 5, 0])
        #expect(try state(self.updater()) == [2, 5, 0])
        #expect(!updater.isDue)
        // A first failure: 60 s, of which the random number takes a quarter.
        clock.now += 44
        #expect(!updater.isDue)
        clock.now += 1
        #expect(updater.isDue)
    }

    @Test func fullDiskIsNoFailureOfTheServiceAndIsTriedAgain() async throws {
        source.change { $0.set = "set-5" }
        store.isFull = true
        let updater = try updater()
        await updater.update()
        #expect(updater.failure != nil)
        clock.now += 3600
        #expect(!updater.isDue)
        store.isFull = false
        await updater.update()
        #expect(try state(self.updater()) == [1, 5, 5])
        #expect(updater.failure == nil)
        let writes = store.writes
        await updater.update()
        #expect(store.writes == writes)
    }

    @Test func whatDoesNotVerifyIsNotUsedIsToldAndIsReplacedAtTheNextChange() async throws {
        let forged = KeptPins(lists: [], signed: try PinFile.data("set-5-forged"))
        try store.write(forged.written())
        let updater = try updater("builtin-set-5")
        #expect(updater.fault?.hasPrefix("pins.set_signature") == true)
        #expect(state(updater) == [1, 5, 5])
        source.change { $0.set = "set-6" }
        await updater.update()
        #expect(updater.fault == nil)
        #expect(try state(self.updater("builtin-set-5")) == [1, 6, 6])
    }

    @Test(arguments: ["", "{}", "[]", #"{"roots":[1],"set":null}"#, #"{"roots":[]}"#, #"{"roots":[],"set":1}"#])
    func whatCannotBeReadIsNotUsed(_ kept: String) async throws {
        try store.write(Data(kept.utf8))
        let updater = try updater("builtin-set-5")
        #expect(updater.fault != nil)
        #expect(state(updater) == [1, 5, 5])
    }

    @Test func keptPinsAreReadAsTheyWereWritten() throws {
        let list = try PinFile.data("roots-2")
        let kept = try KeptPins(KeptPins(lists: [list], signed: PinFile.data("set-5")).written())
        #expect(kept.lists == [list])
        #expect(try kept.signed == PinFile.data("set-5"))
        #expect(try KeptPins(KeptPins(lists: [], signed: nil).written()).signed == nil)
        // A list may be white space for the most part, of which JSON makes two characters; a set is of base64url alone.
        let large = Data(repeating: UInt8(ascii: "\n"), count: PinDocuments.maxRootsBytes)
        let one = KeptPins(lists: [large], signed: nil).written().count
        #expect(KeptPins.maxLists * one + PinDocuments.maxSetBytes <= KeptPins.maxBytes)
        let tooMany = KeptPins(lists: [Data](repeating: Data(), count: KeptPins.maxLists + 1), signed: nil)
        #expect(throws: MalformedError.self) { try tooMany.save(in: store, as: Installed(PinFile.builtin("builtin"))) }
        #expect(store.writes == 0)
    }

    @Test func whatIsKeptIsNeverReplacedBySomethingOlder() async throws {
        let (old, new) = (try updater(), try updater())
        _ = (state(old), state(new))
        source.change { $0.set = "set-6" }
        await new.update()
        source.change { $0.set = "set-5" }
        await old.update()
        #expect(try state(updater()) == [1, 6, 6])
    }

    /// An app and its extension that share a place, and found it broken.
    @Test func whatAnotherProcessMendedIsNotReplacedBySomethingOlder() async throws {
        try store.write(Data("{}".utf8))
        let (app, appExtension) = (try updater(), try updater())
        #expect(app.fault != nil && appExtension.fault != nil)
        source.change { $0.set = "set-7" }
        await app.update()
        source.change { $0.set = "set-6" }
        await appExtension.update()
        #expect(try state(updater()) == [1, 7, 7])
        // A later list goes before any version of a set.
        source.change { $0.lists[2] = "roots-2-without-pin1" }
        await appExtension.update()
        #expect(try state(updater()).first == 2)
        source.change { $0.lists = [:] }
        await app.update()
        #expect(try state(updater()).first == 2)
    }

    @Test func whatCannotBeReadYetIsNeitherTakenForNothingNorWrittenOver() async throws {
        source.change { $0.set = "set-6" }
        try await updater().update()
        store.isLocked = true
        source.change { $0.set = "set-5" }
        let writes = store.writes
        let updater = try updater()
        await updater.update()
        #expect(state(updater) == [1, nil, 0])
        #expect(source.change { $0.tags.count } == 1)
        #expect(store.writes == writes)
        #expect(updater.isDue)
        store.isLocked = false
        #expect(state(updater) == [1, 6, 6])
        source.change { $0.set = "set-7" }
        await updater.update()
        #expect(try state(self.updater()) == [1, 7, 7])
    }

    @Test func listsThatThePackageIsPastAreKeptNoMore() async throws {
        source.change { $0.lists = [2: "roots-2-without-pin1", 3: "roots-3-floors-6"] }
        source.change { $0.set = "set-6-pin2" }
        try await updater().update()
        let updated = try updater("builtin-roots-2")
        #expect(state(updated) == [3, 6, 6])
        source.change { $0.lists = [:] }
        await updated.update()
        #expect(try state(updater("builtin-roots-2")) == [3, 6, 6])
    }

    @Test func clockThatWasSetBackPutsNoFetchOff() async throws {
        let updater = try updater()
        await updater.update()
        #expect(!updater.isDue)
        clock.now -= 30 * 86_400
        #expect(updater.isDue)
    }

    @Test func turnIsTakenOnceAndOnlyWhereAFetchIsDue() async throws {
        let updater = try updater()
        #expect(updater.takeTurnIfDue())
        #expect(!updater.takeTurnIfDue())
        await updater.update()
        #expect(source.change { $0.tags }.isEmpty)
        await updater.updateInTurn()
        #expect(source.change { $0.tags.count } == 1)
        #expect(!updater.takeTurnIfDue())
        clock.now += 7 * 3600
        #expect(updater.takeTurnIfDue())
    }

    @Test func hostsHaveOneSpelling() {
        #expect(plainHost("API.clinic.EXAMPLE.") == host)
        #expect(plainHost("b\u{fc}cher.example") == "xn--bcher-kva.example")
        #expect(plainHost("a..b") == "a..b")
        #expect(plainHost("...").isEmpty)
        // What would be another host in a URL stays what it is.
        #expect(plainHost("\u{fc}@api.clinic.example") == "\u{fc}@api.clinic.example")
        #expect(plainHost("\u{fc}/x") == "\u{fc}/x")
    }

    @Test func noMoreThanSixteenReportsWait() async throws {
        let waiting = Locked<[@Sendable () async -> Void]>([])
        let posts = Locked(0)
        let reports = PinReports(
            post: { _, _ in
                posts.withLock { $0 += 1 }
                return true
            }, background: { work in waiting.withLock { $0.append(work) } })
        let installed = Installed(try PinFile.builtin("builtin-told"))
        func tell(_ leaf: Int, _ at: Double) {
            let chain = ["leaf \(leaf)"]
            let judgement = installed.judge(host: host, chain: chain, now: at)
            reports.tell(Sighting(host: host, chain: chain, judgement: judgement, at: at, installed: installed))
        }
        for leaf in 0..<13 { tell(leaf, pinsNow) }
        #expect(waiting.withLock { $0.count } == 12)
        for leaf in 13..<26 { tell(leaf, pinsNow + 3600) }
        #expect(waiting.withLock { $0.count } == 16)
        for work in waiting.withLock({ $0 }) { await work() }
        #expect(posts.withLock { $0 } == 16)
        tell(99, pinsNow + 7200)
        #expect(waiting.withLock { $0.count } == 17)
    }

    @Test func numberOfAKeeperChangesWithThePinsAndWhenTheyExpire() throws {
        var installed = Installed(try PinFile.builtin("builtin-set-5"))
        let keeper = PinKeeper(installed, now: { [clock] in clock.now })
        let first = keeper.generation
        keeper.replace(by: installed)
        #expect(keeper.generation == first)
        try installed.take(set: PinFile.data("set-6"), now: pinsNow)
        keeper.replace(by: installed)
        let second = keeper.generation
        #expect(second != first)
        clock.now = 1e12
        #expect(keeper.generation != second)
    }
}
