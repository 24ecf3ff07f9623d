import CryptoKit
import Foundation
@testable import WatchwordKit
import WatchwordTestInstance

/// Tries the shipped adapters on a simulated phone against a real deployment, and prints one JSON object a line: which check it was, and
/// what went wrong, null for nothing.
///
/// Arguments: the file with the addresses, and an empty directory for the phones.
@main
enum EndToEnd {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { throw Wrong("got \(arguments.count - 1) arguments, expected a file and a directory") }
        let checks = Checks(world: try World(arguments[1]), root: URL(fileURLWithPath: arguments[2]))
        // What the app's own initializers find, which name no phone.
        setenv("WATCHWORD_LAB_ATTESTER", try checks.world.attester, 1)
        setenv("WATCHWORD_LAB_DIRECTORY", checks.root.appendingPathComponent("phone").path, 1)
        for (name, check) in checks.all {
            var row: JSONObject = ["check": .text(name), "wrong": .null]
            do {
                try await check()
            } catch {
                row["wrong"] = .text("\(type(of: error)): \(error)")
            }
            FileHandle.standardOutput.write(row.written() + Data("\n".utf8))
        }
    }
}

private let ours: Set<String> = ["watchword-token", "watchword-status", "signature", "signature-input", "dpop", "content-digest"]

private struct Checks: Sendable {
    let world: World
    let root: URL

    var all: [(String, () async throws -> Void)] {
        [
            ("ios-27", { try await serves("genuine-iphone") }),
            ("ios-26", { try await serves("ios-26-iphone") }),
            ("ios-17", { try await serves("ios-17-iphone") }),
            ("ipad", { try await serves("genuine-ipad") }),
            ("vision", { try await serves("genuine-vision") }),
            ("updated-to-ios-27", updated),
            ("this-phone", thisPhone),
            ("operators-code", operatorsCode),
            ("phone-of-a-pipeline", phoneOfAPipeline),
            ("bad-phones", badPhones),
            ("transfers", transfers),
            ("callers-at-once", callersAtOnce),
            ("renewal-under-load", renewalUnderLoad),
            ("restart", restart),
            ("reboot", reboot),
            ("wiped-store", wipedStore),
            ("reinstalled-app", reinstalledApp),
            ("revocation", revocation),
            ("secret", secret),
            ("lost-answers", lostAnswers),
            ("lost-answer-of-the-service", lostAnswerOfTheService),
            ("redirect", redirect),
            ("bad-hosts", badHosts),
            ("keys-lost-in-a-restore", keysLost),
            ("another-phones-enclave", anotherPhonesEnclave),
            ("apple-unavailable", appleUnavailable),
            ("no-app-attest", noAppAttest),
            ("not-unlocked-yet", notUnlockedYet),
            ("pins-over-the-air", pinsOverTheAir),
        ]
    }

    private func on(_ kind: String? = "genuine-iphone") throws -> Handset { try Handset(world, root: root, kind: kind) }

    /// Sends what each API serves, by each proof, with a body and without.
    private func serves(_ kind: String) async throws {
        try await servedEverywhere(on(kind).started())
    }

    private func servedEverywhere(_ watchword: Watchword) async throws {
        try await world.control("forget")
        let http = AppHTTP(watchword)
        for api in world.apis {
            for path in ["records", "payments", "patients"] {
                try same(200, await http.get("\(try world.url(api))/\(path)/1?a=%20&b=%2F%c3%A9"), "GET \(api)/\(path)")
                try same(200, await http.post("\(try world.url(api))/\(path)/2"), "POST \(api)/\(path)")
            }
        }
        try same("hardware", watchword.level, "level")
        let rows = try await world.seen()
        try same(world.apis.count * 6, rows.count, "requests at the API")
        for row in rows { try same([], fields(row).intersection(ours).subtracting(["content-digest"]), "fields at the API") }
        let targets = Set(rows.compactMap { $0["target"]?.text?.split(separator: "/").last.map(String.init) })
        try same(["1?a=%20&b=%2F%c3%A9", "2"], targets, "targets as they were sent")
    }

    /// An assertion of iOS 27 says more than the attestation of iOS 26 did.
    private func updated() async throws {
        let watchword = try on("updated-iphone").started()
        try same(200, await AppHTTP(watchword).get("\(try world.url("proxy"))/records/1"), "before")
        let before = try await world.instances()
        for _ in 0..<3 { try await watchword.renew() }
        try same(200, await AppHTTP(watchword).get("\(try world.url("proxy"))/payments/1"), "after")
        try same(before, await world.instances(), "instances")
    }

    /// As an app begins: nothing but the configuration.
    private func thisPhone() async throws {
        let before = try await world.instances().count
        try await servedEverywhere(try Watchword(world.configuration()))
        try await servedEverywhere(try Watchword(world.configuration()))
        try same(before + 1, await world.instances().count, "instances")
    }

    private func operatorsCode() async throws {
        let before = try await world.instances().count
        let code = try await world.control("invite", ["platform": "ios"]).object?.text("code")
        try await servedEverywhere(try Watchword.testInstance(world.configuration(), code: code))
        try await servedEverywhere(try Watchword.testInstance(world.configuration(), code: nil))
        try same(before + 1, await world.instances().count, "instances")
    }

    private func phoneOfAPipeline() async throws {
        guard let attester = URL(string: try world.attester) else { throw Wrong("got no attester") }
        let before = try await world.instances().count
        for device in ["one", "two", "one"] {
            try await servedEverywhere(try Watchword.lab(world.configuration(), attester: attester, device: device))
        }
        try same(before + 2, await world.instances().count, "instances")
    }

    private func badPhones() async throws {
        let reasons = [
            "wrong-app-iphone": "policy.app_id", "development-iphone": "app_attest.environment", "testflight-iphone": "policy.distribution",
            "sip-off-mac": "policy.key_access", "receiptless-iphone": "app_attest.receipt",
        ]
        for (kind, reason) in reasons {
            let watchword = try on(kind).started()
            let error = try await thrown("evidence-refused", kind) { _ = try await watchword.token(for: world.audience("proxy")) }
            guard case .refused(let refused) = error, refused.reasons.contains(reason) else { throw Wrong("\(kind): got \(error)") }
        }
        let clone = try on("cloned-iphone").started()
        try await clone.renew()
        try await clone.renew()
        let error = try await thrown("challenge-refused", "a counter that was used") { try await clone.renew() }
        guard case .refused(let refused) = error, refused.reasons == ["instance.counter"] else { throw Wrong("got \(error)") }
    }

    /// Streams, files and data arrive as they were signed, and downloads end up in files.
    private func transfers() async throws {
        let http = AppHTTP(try on().started())
        let body = Data((0..<200_000).map { UInt8($0 % 251) })
        let file = root.appendingPathComponent("upload")
        try body.write(to: file)
        for api in world.apis {
            for path in ["records", "payments"] {
                try await world.control("forget")
                let url = "\(try world.url(api))/\(path)/file"
                try same(200, http.status(await http.session.upload(for: http.request("PUT", url), from: body).1), "\(api) data")
                try same(200, http.status(await http.session.upload(for: http.request("PUT", url), fromFile: file).1), "\(api) file")
                var stream = try http.request("PUT", url)
                stream.httpBodyStream = InputStream(data: body)
                try same(200, http.status(await http.session.data(for: stream).1), "\(api) stream")
                let (downloaded, response) = try await http.session.download(for: http.request("GET", url))
                try same(200, http.status(response), "\(api) download")
                try same(true, Data(contentsOf: downloaded).starts(with: Data("{".utf8)), "what was downloaded")
                try FileManager.default.removeItem(at: downloaded)
                let digests = try await world.seen().compactMap { $0["body_sha256"]?.text }
                let wanted = sha256(body).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
                try same(Array(repeating: wanted, count: 3), Array(digests.prefix(3)), "\(api) bodies")
            }
        }
    }

    private func callersAtOnce() async throws {
        let before = try await world.instances().count
        let http = AppHTTP(try on().started())
        let url = "\(try world.url("proxy"))/records/"
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for caller in 0..<50 { group.addTask { try await http.get(url + String(caller)) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        try same(Array(repeating: 200, count: 50), statuses, "statuses")
        try same(before + 1, await world.instances().count, "instances")
    }

    private func renewalUnderLoad() async throws {
        let watchword = try on().started()
        let http = AppHTTP(watchword)
        try same(200, await http.get("\(try world.url("proxy"))/records/0"), "first")
        let isEnded = Locked(false)
        let statuses = try await withThrowingTaskGroup(of: [Int].self) { group in
            for caller in 0..<8 {
                let api = world.apis[caller % world.apis.count]
                let url = "\(try world.url(api))/\(caller % 2 == 0 ? "records" : "payments")/\(caller)"
                group.addTask {
                    var found: [Int] = []
                    while !isEnded.withLock({ $0 }) { found.append(try await http.get(url)) }
                    return found
                }
            }
            for _ in 0..<10 { try await watchword.renew() }
            try await world.control("rotate", ["purpose": "tokens"])
            try await world.control("rotate", ["purpose": "gates"])
            for _ in 0..<10 { try await watchword.renew() }
            isEnded.withLock { $0 = true }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        try same([200], Set(statuses), "statuses of \(statuses.count) requests")
        guard statuses.count > 8 else { throw Wrong("expected more than \(statuses.count) requests") }
    }

    private func restart() async throws {
        let before = try await world.instances().count
        let phone = try on()
        for process in 0..<3 {
            try same(200, await AppHTTP(try phone.started()).get("\(try world.url("proxy"))/payments/1"), "process \(process)")
        }
        try same(before + 1, await world.instances().count, "instances")
    }

    private func reboot() async throws {
        let before = try await world.instances().count
        let phone = try on()
        for start in 0..<3 {
            try same(200, await AppHTTP(try phone.started(start: start)).get("\(try world.url("proxy"))/records/1"), "start \(start)")
        }
        try same(before + 1, await world.instances().count, "instances")
    }

    private func wipedStore() async throws {
        let before = try await world.instances().count
        let phone = try on()
        try same(200, await AppHTTP(try phone.started()).get("\(try world.url("proxy"))/records/1"), "before")
        phone.keychain.wipe()
        try same(200, await AppHTTP(try phone.started()).get("\(try world.url("proxy"))/records/1"), "after")
        try same(before + 2, await world.instances().count, "instances")
    }

    /// The Keychain's items of the app that was removed are still there, and aren't taken up.
    private func reinstalledApp() async throws {
        let before = try await world.instances().count
        let phone = try on()
        try same(200, await AppHTTP(try phone.started()).get("\(try world.url("proxy"))/records/1"), "before")
        try phone.reinstall()
        try same(200, await AppHTTP(try phone.started()).get("\(try world.url("proxy"))/records/1"), "after")
        try same(before + 2, await world.instances().count, "instances")
    }

    private func revocation() async throws {
        let before = Set(try await world.instances())
        let http = AppHTTP(try on().started())
        let url = "\(try world.url("envoy"))/records/1"
        try same(200, await http.get(url), "before")
        let made = Set(try await world.instances()).subtracting(before)
        guard let instance = made.first, made.count == 1 else { throw Wrong("got \(made.count) new instances, expected 1") }
        try await world.control("revoke", ["instance": .text(instance)])
        for _ in 0..<100 {
            do {
                _ = try await http.get(url)
                try await Ports.systemSleep(0.1)
            } catch let error as WatchwordError {
                return try same("instance-refused", error.code, "after the revocation")
            }
        }
        throw Wrong("the revocation wasn't seen")
    }

    private func secret() async throws {
        let watchword = try on().started()
        let value = try await watchword.secret(world.secret.text("name"))
        try same(world.secret.text("value"), value.text(), "the secret")
        let token = try await watchword.token(for: world.audience("proxy"))
        var shown = ""
        dump(watchword, to: &shown)
        dump(value, to: &shown)
        shown += "\(watchword) \(value) \(String(reflecting: watchword))"
        try same(false, shown.contains(token), "the token in a description")
        try same(false, shown.contains(world.secret.text("value")), "the secret in a description")
    }

    private func lostAnswers() async throws {
        let http = AppHTTP(try on().started())
        for api in world.apis {
            let relay = try world.relay(api)
            for path in ["records", "payments"] {
                try await world.control("forget")
                try same(200, await http.get("\(relay)/\(path)/0"), "\(api)/\(path), whole")
                try await world.control("lose", ["relay": .text(api), "answers": 1])
                try await thrown("outcome-unknown", "\(api)/\(path)") { _ = try await http.post("\(relay)/\(path)/1") }
                try await world.control("lose", ["relay": .text(api), "answers": 1])
                try same(200, await http.get("\(relay)/\(path)/2"), "\(api)/\(path), lost")
                let lines = try await world.seen().map { row in
                    "\(row["method"]?.text ?? "") \(row["target"]?.text?.split(separator: "/").last ?? "")"
                }
                // The POST was executed once; the GET twice, each time with a proof of its own, else the gate had refused it.
                try same(["GET 0", "POST 1", "GET 2", "GET 2"], lines, "\(api)/\(path)")
            }
        }
    }

    private func lostAnswerOfTheService() async throws {
        let http = AppHTTP(try on().started(service: world.relay("service")))
        try await world.control("lose", ["relay": "service", "answers": 1])
        let url = "\(try world.url("proxy"))/records/1"
        let first = try? await http.get(url)
        let second = first == nil ? try await http.get(url) : nil
        try same(200, first ?? second, "in one attempt of the app's or two")
    }

    private func redirect() async throws {
        let http = AppHTTP(try on().started())
        for path in ["records", "payments", "patients"] {
            try await world.control("forget")
            var request = try http.request("GET", "\(try world.url("proxy"))/\(path)/1/redirect")
            request.setValue("Bearer of-the-app", forHTTPHeaderField: "Authorization")
            try same(200, http.status(await http.session.data(for: request).1), "the other host's answer")
            let rows = try await world.seen("foreign")
            try same(["/\(path)/1"], rows.map { $0["target"]?.text ?? "" }, "where it led")
            for row in rows { try same([], fields(row).intersection(ours.union(["authorization"])), "fields at the other host") }
        }
    }

    private func badHosts() async throws {
        for host in ["portal", "huge", "bomb", "truncated", "busy", "redirecting"] {
            try await world.control("forget")
            let phone = try on()
            let watchword = try phone.started(service: world.host(host))
            let error = try await failed(host) { _ = try await watchword.token(for: world.audience("proxy")) }
            guard case .offline = error else { throw Wrong("\(host): got \(error)") }
            let isAsked = try await world.seen(host).allSatisfy { $0["target"]?.text?.contains("/v1/challenges") == true }
            try same(true, isAsked, "\(host) got a challenge's request alone")
            try same(0, await world.seen("foreign").count, "\(host): requests at another host")
            try same(200, await AppHTTP(try phone.started()).get("\(try world.url("proxy"))/records/1"), "\(host): afterwards")
        }
    }

    /// App Attest's key doesn't come with a backup: the next renewal finds that out, and the app enrols anew, once.
    private func keysLost() async throws {
        let before = try await world.instances().count
        let phone = try on()
        let watchword = try phone.started()
        try same(200, await AppHTTP(watchword).get("\(try world.url("proxy"))/records/1"), "before")
        try await world.script(phone.name, ["on": "app-attest.assertion", "fault": "invalid-key"])
        try await watchword.renew()
        try same(200, await AppHTTP(watchword).get("\(try world.url("proxy"))/payments/1"), "after")
        try same(before + 2, await world.instances().count, "instances")
    }

    /// What a Secure Enclave wrapped for itself opens in no other: the Keychain was moved, the keys weren't.
    private func anotherPhonesEnclave() async throws {
        let before = try await world.instances().count
        let phone = try on()
        let url = "\(try world.url("proxy"))/payments/1"
        try same(200, await AppHTTP(try phone.started()).get(url), "before")
        let refusing = SimulatedEnclave { if $0 == .restore { throw CryptoKitError.authenticationFailure } }
        try await SimulatedEnclave.$current.withValue(refusing) {
            try same(200, await AppHTTP(try phone.started()).get(url), "with new keys")
        }
        try same(before + 2, await world.instances().count, "instances")
    }

    private func appleUnavailable() async throws {
        let url = "\(try world.url("proxy"))/records/1"
        let busy = try on()
        try await world.script(busy.name, ["on": "app-attest.attestation", "fault": "server-unavailable", "times": 2])
        try same(200, await AppHTTP(try busy.started()).get(url), "after two pauses")
        let down = try on()
        try await world.script(down.name, ["on": "app-attest.attestation", "fault": "server-unavailable", "times": .null])
        let watchword = try down.started()
        let error = try await failed("Apple is down") { _ = try await watchword.token(for: world.audience("proxy")) }
        guard case .deviceFailed(let why) = error, why.kind == .transient else { throw Wrong("got \(error)") }
        try await world.script(down.name)
        try same(200, await AppHTTP(try down.started()).get(url), "in the app's next process")
        let renewing = try on()
        let held = try renewing.started()
        try same(200, await AppHTTP(held).get(url), "before")
        try await world.script(renewing.name, ["on": "app-attest.assertion", "fault": "server-unavailable", "times": .null])
        try await thrown("device-error", "no assertion") { try await held.renew() }
        try same(200, await AppHTTP(held).get(url), "with the token that is still valid")
        // New keys may help where Apple names no reason: once.
        let before = try await world.instances().count
        try await world.script(renewing.name, ["on": "app-attest.assertion", "fault": "unknown-system-failure", "times": .null])
        try await renewing.started().renew()
        try same(before + 1, await world.instances().count, "instances")
    }

    private func noAppAttest() async throws {
        let simulator = try on(nil).started()
        try await thrown("device-unsupported", "a simulator") { _ = try await simulator.token(for: world.audience("proxy")) }
        let phone = try on()
        try await world.script(phone.name, ["on": "app-attest.key", "fault": "feature-unsupported"])
        let watchword = try phone.started()
        try await thrown("device-unsupported", "DCError 1") { _ = try await watchword.token(for: world.audience("proxy")) }
    }

    private func notUnlockedYet() async throws {
        let phone = try on()
        let url = "\(try world.url("proxy"))/records/1"
        phone.keychain.setLocked(true)
        let watchword = try phone.started()
        let error = try await failed("locked") { _ = try await watchword.token(for: world.audience("proxy")) }
        guard case .deviceFailed(let why) = error, why.kind == .locked else { throw Wrong("got \(error)") }
        phone.keychain.setLocked(false)
        try same(200, await AppHTTP(watchword).get(url), "in the same process")
        let before = try await world.instances().count
        phone.keychain.setLocked(true)
        let next = try phone.started(start: 1)
        try await thrown("device-error", "after a reboot") { _ = try await next.token(for: world.audience("proxy")) }
        phone.keychain.setLocked(false)
        try same(200, await AppHTTP(next).get(url), "after the first unlock")
        try same(before, await world.instances().count, "instances")
    }

    /// A key that no release knows comes over the air, and the server turns to it: nobody installs anything.
    private func pinsOverTheAir() async throws {
        let release = try await world.release()
        let phone = try on()
        let watchword = try phone.started(pins: release)
        guard let pins = watchword.pins else { throw Wrong("got no pins") }
        let first = pins.version
        try pins.check(host: world.pinned, presented: await world.shown("url"))
        try await thrown("pin", "an interceptor") { try pins.check(host: world.pinned, presented: await world.shown("between")) }
        try await world.control("plan")
        let second = try await heard(watchword, pins, after: first)
        try await world.control("turn")
        try pins.check(host: world.pinned, presented: await world.shown("url"))
        try await world.control("settle")
        let newest = try await heard(watchword, pins, after: second)
        try pins.check(host: world.pinned, presented: await world.shown("url"))
        try same(nil, pins.fault, "fault")
        try same(newest, phone.started(pins: release).pins?.version, "the set's version in the next process")
        let late = try on().started(pins: release)
        guard let latePins = late.pins else { throw Wrong("got no pins") }
        try await thrown("pin", "the release, of the next key") {
            try latePins.check(host: world.pinned, presented: await world.shown("url"))
        }
        try same(newest, await heard(late, latePins, after: newest - 1), "of a phone that was off meanwhile")
        try latePins.check(host: world.pinned, presented: await world.shown("url"))
    }

    /// Returns the version of a newer set, which the phone hears of beside a token.
    private func heard(_ watchword: Watchword, _ pins: Pins, after version: Int64) async throws -> Int64 {
        for _ in 0..<300 {
            try await watchword.renew()
            if pins.version > version { return pins.version }
            try await Ports.systemSleep(0.1)
        }
        throw Wrong("got the pins \(pins.version), expected newer ones than \(version)")
    }

    private func fields(_ row: JSONObject) -> Set<String> { Set(row["headers"]?.object?.names ?? []) }

    private func same<Value: Equatable>(_ expected: Value, _ got: Value, _ what: String) throws {
        if expected != got { throw Wrong("\(what): got \(got), expected \(expected)") }
    }

    @discardableResult
    private func failed(_ what: String, _ body: () async throws -> Void) async throws -> WatchwordError {
        do {
            try await body()
        } catch let error as WatchwordError {
            return error
        }
        throw Wrong("\(what): got no error, expected one of WatchwordError")
    }

    @discardableResult
    private func thrown(_ code: String, _ what: String, _ body: () async throws -> Void) async throws -> WatchwordError {
        let error = try await failed(what, body)
        if error.code != code { throw Wrong("\(what): got \(error.code): \(error), expected \(code)") }
        return error
    }
}
