import Foundation

/// Says why a document of pins isn't taken, or a connection not used.
struct PinRefusal: Error, Equatable, CustomStringConvertible {
    /// The reason's code, the same in every SDK, for example `pins.set_signature`.
    let reason: String
    let detail: String

    var description: String { "\(reason): \(detail)" }
}

/// What a pin set says of one host.
struct HostPins: Sendable, Equatable {
    enum Role: String, Sendable {
        case current = "c"
        case next = "n"
        case backup = "b"
        case authority = "a"
    }

    let host: String
    let pins: [PinText: Role]
    let isReported: Bool
    let hasSubdomains: Bool
    let isClosedAfter: Bool

    /// Tells whether a chain, the leaf first, holds a pinned key where its role has it: an authority's above the leaf, any other at the leaf.
    func matches(_ chain: [PinText]) -> Bool {
        chain.enumerated().contains { place, pin in pins[pin].map { ($0 == .authority) == (place > 0) } ?? false }
    }
}

/// A pin set whose signature was verified. Times are seconds since 1970.
struct PinSet: Sendable, Equatable {
    let app: String
    let version: Int64
    let issued: Int64
    /// From here on the app looks for a newer one.
    let soft: Int64
    /// From here on it is enforced no more.
    let hard: Int64
    /// The lowest root list that it may be read under.
    let roots: Int64
    let hosts: [String: HostPins]
    let reports: String?
    /// The key that signed it.
    let key: KeyID

    /// Returns what it says of a host: its own entry, else that of the nearest name above it which includes it.
    func entry(for host: String) -> HostPins? {
        var name = plainHost(host)[...]
        if let own = hosts[String(name)] { return own }
        while let dot = name.firstIndex(of: ".") {
            name = name[name.index(after: dot)...]
            if let entry = hosts[String(name)], entry.hasSubdomains { return entry }
        }
        return nil
    }

    /// Tells whether failures would be reported to a host that it pins, where the report would fail by what it tells of.
    var reportsToItself: Bool { reports.flatMap(PinNames.host(ofReports:)).flatMap(entry(for:)) != nil }

    /// The same signed by another key: keys are exchanged by signing anew.
    func signed(by key: KeyID) -> PinSet {
        PinSet(app: app, version: version, issued: issued, soft: soft, hard: hard, roots: roots, hosts: hosts, reports: reports, key: key)
    }
}

/// The UTF-8 of a key's id. Bytes, since two texts that Unicode calls equivalent are equal in Swift.
typealias KeyID = Data

/// A root list whose signatures were verified. Keys are x and y, 32 bytes each, by their thumbprints (RFC 7638).
struct RootList: Sendable, Equatable {
    let version: Int64
    let expires: Int64
    let threshold: Int64
    let keys: [KeyID: Data]
    let pinKeys: [KeyID: Data]
    let floors: [String: Int64]
}

/// What ships in a version of an app; trusted because its package is.
struct Builtin: Sendable, Equatable {
    let app: String
    let appVersion: String
    let floor: Int64
    let roots: RootList
    let set: PinSet?
    let authorities: [String: Set<PinText>]
}

/// Returns a host's name as pin sets have it: ASCII letters in lower case, no dot at its end, other scripts as A-labels.
///
/// What it can't spell so (a name in another script on a system whose URLs have none) comes back with characters that aren't ASCII.
func plainHost(_ host: String) -> String {
    var name = host
    // A character that is no name's could make the text another URL.
    if !PinNames.isASCII(host), host.unicodeScalars.allSatisfy({ !$0.isASCII || PinNames.isInName($0) }) {
        name = URL(string: "https://\(host)/")?.host ?? host
    }
    name = name.lowercased()
    while name.utf8.last == UInt8(ascii: ".") { name.removeLast() }
    return name
}

/// The names of hosts and the addresses of reports, in their one spelling.
enum PinNames {
    private static let maxName = 253
    private static let maxLabel = 63
    private static let maxURL = 512

    static func isASCII(_ text: String) -> Bool { text.utf8.allSatisfy { $0 < 0x80 } }

    /// Tells whether this may stand in the name of an app, or in a host's that is spelled in whatever way.
    static func isInName(_ character: Unicode.Scalar) -> Bool { isLetterOrDigit(character) || "._-".unicodeScalars.contains(character) }

    /// Tells whether this is a name that can have an entry; one that ends in a number is an address to every reader of URLs.
    static func isHost(_ text: String) -> Bool {
        guard text.utf8.count <= maxName else { return false }
        let labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.allSatisfy(isLabel), let last = labels.last else { return false }
        return !last.allSatisfy(isDigit) && !(last.starts(with: "0x".utf8) && last.dropFirst(2).allSatisfy(isHexadecimal))
    }

    /// Returns the host of an address that failures may be reported to; nil if it is none.
    static func host(ofReports url: String) -> String? {
        guard url.utf8.count <= maxURL, isASCII(url), url.utf8.starts(with: "https://".utf8) else { return nil }
        let rest = url.dropFirst("https://".count)
        let authority = rest.prefix { $0 != "/" }
        guard rest.dropFirst(authority.count).unicodeScalars.allSatisfy(isInPath) else { return nil }
        let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, let host = parts.first.map(String.init), isHost(host) else { return nil }
        return parts.count == 1 || isPort(parts[1]) ? host : nil
    }

    private static func isPort(_ text: Substring) -> Bool {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy(isDigit), let port = Int(text) else { return false }
        return (1...65_535).contains(port)
    }

    private static func isInPath(_ character: Unicode.Scalar) -> Bool {
        isLetterOrDigit(character) || "!$%&()*+,-./:;=?@_~".unicodeScalars.contains(character)
    }

    private static func isLabel(_ label: Substring.UTF8View) -> Bool {
        let hyphen = UInt8(ascii: "-")
        return (1...maxLabel).contains(label.count) && label.first != hyphen && label.last != hyphen
            && label.allSatisfy { isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || $0 == hyphen }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isHexadecimal(_ byte: UInt8) -> Bool { isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte) }

    static func isLetterOrDigit(_ character: Unicode.Scalar) -> Bool {
        switch character {
        case "a"..."z", "A"..."Z", "0"..."9": return true
        default: return false
        }
    }
}

/// Reads the signed documents of pins strictly: nothing of one is believed before its signature was verified.
enum PinDocuments {
    static let maxSetBytes = 393_216
    static let maxRootsBytes = 65_536
    static let maxBuiltinBytes = 851_968
    private static let setReason = "pins.set_malformed"
    private static let rootsReason = "pins.roots_malformed"
    private static let builtinReason = "builtin"
    private static let setType = "watchword-pins+jwt"
    private static let rootsType = "watchword-pin-roots+jwt"
    private static let maxHeader = 4096
    private static let maxVersion: Int64 = 1 << 53 - 1
    private static let maxTime: Int64 = 1 << 40
    private static let maxHosts = 200
    private static let maxPins = 20
    private static let maxKeys = 16
    private static let maxSignatures = 32
    /// Most characters of a key's id and of an app's version.
    private static let maxLabel = 64
    private static let maxApp = 128
    private static let signatureBytes = 64

    /// Returns a set that a pin key of the list signed; says nothing of its age or version.
    ///
    /// - Throws: `PinRefusal` if it isn't one.
    static func set(_ data: Data, under roots: RootList) throws -> PinSet {
        guard data.count <= maxSetBytes else {
            throw PinRefusal(reason: setReason, detail: "got \(data.count) bytes, expected at most \(maxSetBytes)")
        }
        let jws = try reading(setReason) { try JWS(data, type: setType) }
        guard let key = roots.pinKeys[jws.key] else {
            throw PinRefusal(reason: "pins.set_key", detail: "root list \(roots.version) has no such pin key")
        }
        guard jws.isSigned(by: key) else { throw PinRefusal(reason: "pins.set_signature", detail: "it isn't the key's") }
        return try reading(setReason) { try pinSet(JSONObject.read(jws.payload, limit: maxSetBytes), key: jws.key) }
    }

    /// Returns a root list that `previous` vouches for, and that its own keys signed; it may have expired.
    ///
    /// - Parameter previous: nil for a list that is trusted because of where it came from.
    /// - Throws: `PinRefusal` if it isn't one.
    static func roots(_ data: Data, after previous: RootList?) throws -> RootList {
        let document = try SignedList(data)
        let found = try list(document)
        if let previous { try document.requireThreshold(of: previous) }
        try document.requireThreshold(of: found)
        guard let previous else { return found }
        guard found.version == previous.version + 1 else {
            throw PinRefusal(reason: "pins.roots_version", detail: "got version \(found.version), expected \(previous.version + 1)")
        }
        for (app, floor) in previous.floors where found.floors[app] ?? 0 < floor {
            throw PinRefusal(reason: "pins.roots_version", detail: "\(app): expected a floor of at least \(floor)")
        }
        return found
    }

    /// Returns the version that a list says of itself; no signature is looked at.
    static func version(ofRoots data: Data) throws -> Int64 { try list(SignedList(data)).version }

    /// Returns what a version of an app ships with; the list and the set in it are verified.
    ///
    /// - Throws: `PinRefusal` for anything else than such a file.
    static func builtin(_ data: Data) throws -> Builtin {
        try reading(builtinReason) {
            let members = try JSONObject.read(data, limit: maxBuiltinBytes)
            try expect(Set(members.names) == ["app", "app_version", "floor", "roots", "set", "authorities"], "exactly six members")
            let app = try Self.app(members.text("app"))
            let appVersion = try members.text("app_version")
            try expect(appVersion.unicodeScalars.count <= maxLabel, "app_version of at most \(maxLabel) characters")
            let floor = try whole(members, "floor", most: maxVersion)
            // Spaced or ordered otherwise it is the same list: what was signed of it is one text.
            let roots = try Self.roots(members.object("roots").written(), after: nil)
            try expect(members["set"] == .null || members["set"]?.text != nil, "set to be text or null")
            let set = try members["set"]?.text.map { try Self.set(Data($0.utf8), under: roots) }
            try expect(set.map { $0.app == app && $0.version >= floor } ?? true, "a set for \(app) from version \(floor) on")
            let authorities = try Self.authorities(members.object("authorities"))
            return Builtin(app: app, appVersion: appVersion, floor: floor, roots: roots, set: set, authorities: authorities)
        }
    }

    private static func authorities(_ members: JSONObject) throws -> [String: Set<PinText>] {
        let names = members.names
        try expect(names.count <= maxHosts, "authorities of at most \(maxHosts) hosts")
        return try names.reduce(into: [:]) { out, host in
            let pins = members[host]?.list ?? []
            try expect(PinNames.isHost(host) && (1...maxPins).contains(pins.count), "1 to \(maxPins) authorities of a host")
            out[host] = try Set(pins.map { try pin($0.text ?? "") })
        }
    }

    private static func pinSet(_ members: JSONObject, key: KeyID) throws -> PinSet {
        let names = Set(members.names).subtracting(["reports"])
        try expect(names == ["app", "ver", "iat", "soft", "hard", "roots", "hosts"], "exactly seven members and perhaps reports")
        let hosts = try members.object("hosts")
        try expect(hosts.names.count <= maxHosts, "at most \(maxHosts) hosts")
        let reports = members["reports"] == nil ? nil : try members.text("reports")
        try expect(reports.map { PinNames.host(ofReports: $0) != nil } ?? true, "reports to be an https URL of a host")
        let issued = try whole(members, "iat", most: maxTime)
        let soft = try whole(members, "soft", most: maxTime)
        let hard = try whole(members, "hard", most: maxTime)
        try expect(issued <= soft && soft <= hard && issued < hard, "iat, soft and hard in this order")
        return PinSet(
            app: try app(members.text("app")),
            version: try whole(members, "ver", most: maxVersion),
            issued: issued,
            soft: soft,
            hard: hard,
            roots: try whole(members, "roots", most: maxVersion),
            hosts: try hosts.names.reduce(into: [:]) { $0[$1] = try entry($1, hosts.object($1)) },
            reports: reports,
            key: key)
    }

    private static func entry(_ host: String, _ members: JSONObject) throws -> HostPins {
        try expect(PinNames.isHost(host), "the name of a host")
        let names = Set(members.names)
        try expect(names.isSubset(of: ["pins", "mode", "sub", "after"]), "pins, and perhaps mode, sub and after")
        let pins = try members.object("pins")
        try expect((1...maxPins).contains(pins.names.count), "1 to \(maxPins) pins")
        let roles = try pins.names.reduce(into: [PinText: HostPins.Role]()) { out, text in
            guard let role = pins[text]?.text.flatMap(HostPins.Role.init) else { throw MalformedError(message: "expected a pin's role") }
            out[try pin(text)] = role
        }
        try expect(members["mode"] == nil || members["mode"] == "report", "the mode report, or none")
        try expect(members["sub"] == nil || members["sub"] == true, "sub true, or none")
        try expect(members["after"] == nil || members["after"] == "closed", "after closed, or none")
        try expect(!names.contains("sub") || host.contains("."), "no sub of a host without a dot")
        return HostPins(
            host: host,
            pins: roles,
            isReported: names.contains("mode"),
            hasSubdomains: names.contains("sub"),
            isClosedAfter: names.contains("after"))
    }

    /// What somebody signed, with the id of the key that they say it was.
    private struct JWS {
        let key: KeyID
        let payload: Data
        let signature: Data
        let signed: Data

        /// Reads the compact form, of ASCII alone.
        init(_ data: Data, type: String) throws {
            let segments = data.split(separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
            try expect(segments.count == 3 && data.allSatisfy { $0 < 0x80 }, "three segments of ASCII")
            let parts = try segments.map { try Base64URL.decode(String(decoding: $0, as: UTF8.self), limit: maxSetBytes) }
            let header = try JSONObject.read(parts[0], limit: maxHeader)
            let kid = try header.text("kid")
            try expect(header == ["alg": "ES256", "typ": .text(type), "kid": .text(kid)], "a header of exactly alg, typ and kid")
            try expect(kid.unicodeScalars.count <= maxLabel, "a kid of at most \(maxLabel) characters")
            try expect(parts[2].count == signatureBytes, "a signature of \(signatureBytes) bytes")
            (key, payload, signature) = (KeyID(kid.utf8), parts[1], parts[2])
            signed = Data(data.dropLast(segments[2].count + 1))
        }

        func isSigned(by key: Data) -> Bool {
            guard let key = try? P256Points.publicKey(x: Data(key.prefix(32)), y: Data(key.suffix(32))) else { return false }
            return P256Points.verifies(key, message: signed, fixed: signature)
        }
    }

    /// A list as it came: what was signed, and the signatures by the ids of their keys.
    private struct SignedList {
        let payload: String
        let signatures: [KeyID: JWS]

        init(_ data: Data) throws {
            (payload, signatures) = try reading(rootsReason) {
                let members = try JSONObject.read(data, limit: maxRootsBytes)
                try expect(Set(members.names) == ["payload", "signatures"], "exactly payload and signatures")
                let payload = try members.text("payload")
                guard let written = members["signatures"]?.list, written.count <= maxSignatures else {
                    throw MalformedError(message: "expected at most \(maxSignatures) signatures")
                }
                var signatures: [KeyID: JWS] = [:]
                for each in written {
                    guard let one = each.object else { throw MalformedError(message: "expected each signature to be an object") }
                    try expect(Set(one.names) == ["protected", "signature"], "exactly protected and signature")
                    // Each reads as a compact JWS of its own.
                    let jws = try JWS(Data("\(one.text("protected")).\(payload).\(one.text("signature"))".utf8), type: rootsType)
                    try expect(signatures.updateValue(jws, forKey: jws.key) == nil, "each key's signature once")
                }
                return (payload, signatures)
            }
        }

        func requireThreshold(of list: RootList) throws {
            let count = list.keys.filter { id, key in signatures[id]?.isSigned(by: key) ?? false }.count
            guard count >= list.threshold else {
                let detail = "got \(count) signatures by keys of list \(list.version), expected \(list.threshold)"
                throw PinRefusal(reason: "pins.roots_threshold", detail: detail)
            }
        }
    }

    private static func list(_ document: SignedList) throws -> RootList {
        try reading(rootsReason) {
            let payload = try Base64URL.decode(document.payload, limit: maxRootsBytes)
            let members = try JSONObject.read(payload, limit: maxRootsBytes)
            let names: Set = ["ver", "exp", "threshold", "keys", "pin_keys", "floors"]
            try expect(Set(members.names) == names, "exactly six members")
            let keys = try Self.keys(members["keys"])
            let pinKeys = try Self.keys(members["pin_keys"])
            try expect(Set(keys.keys).isDisjoint(with: pinKeys.keys), "no key that signs both lists and sets")
            let floors = try members.object("floors")
            try expect(floors.names.count <= maxHosts, "at most \(maxHosts) floors")
            return RootList(
                version: try whole(members, "ver", most: maxVersion),
                expires: try whole(members, "exp", most: maxTime),
                threshold: try whole(members, "threshold", most: Int64(keys.count)),
                keys: keys,
                pinKeys: pinKeys,
                floors: try floors.names.reduce(into: [:]) { $0[try app($1)] = try whole(floors, $1, most: maxVersion) })
        }
    }

    private static func keys(_ value: JSON?) throws -> [KeyID: Data] {
        let list = value?.list ?? []
        try expect((1...maxKeys).contains(list.count), "1 to \(maxKeys) keys")
        return try list.reduce(into: [:]) { out, each in
            guard let jwk = each.object else { throw MalformedError(message: "expected each key to be a JWK") }
            let isPublic = Set(jwk.names) == ["kty", "crv", "x", "y"] && jwk["kty"] == "EC" && jwk["crv"] == "P-256"
            try expect(isPublic, "keys on P-256, public")
            let (x, y) = (try jwk.text("x"), try jwk.text("y"))
            let raw = try Base64URL.decode(x, limit: maxLabel) + Base64URL.decode(y, limit: maxLabel)
            _ = try P256Points.publicKey(x: Data(raw.prefix(32)), y: Data(raw.dropFirst(32)))
            let thumbprint: JSONObject = ["crv": "P-256", "kty": "EC", "x": .text(x), "y": .text(y)]
            let id = KeyID(sha256(thumbprint.written()).base64URL().utf8)
            try expect(out.updateValue(raw, forKey: id) == nil, "each key once")
        }
    }

    private static func app(_ text: String) throws -> String {
        let isName =
            (1...maxApp).contains(text.utf8.count)
            && text.unicodeScalars.first.map(PinNames.isLetterOrDigit) ?? false
            && text.unicodeScalars.allSatisfy(PinNames.isInName)
        try expect(isName, "an app of 1 to \(maxApp) letters, digits, dots and dashes")
        return text
    }

    private static func whole(_ members: JSONObject, _ name: String, most: Int64) throws -> Int64 {
        guard let value = members[name]?.integer, value >= 1, value <= most else {
            throw MalformedError(message: "expected \(name) to be a whole number from 1 to \(most)")
        }
        return value
    }

    private static func pin(_ text: String) throws -> PinText {
        try expect(Base64URL.decode(text, limit: maxLabel).count == 32, "pins of 32 bytes")
        return text
    }

    private static func expect(_ holds: Bool, _ what: @autoclosure () -> String) throws {
        if !holds { throw MalformedError(message: "expected \(what())") }
    }

    /// Refuses what can't be read under the reason of the document in which it stands.
    private static func reading<T>(_ reason: String, _ read: () throws -> T) throws -> T {
        do {
            return try read()
        } catch let error as PinRefusal {
            throw reason == builtinReason ? PinRefusal(reason: reason, detail: error.description) : error
        } catch {
            throw PinRefusal(reason: reason, detail: "\(error)")
        }
    }
}
