import Foundation

/// Scheme, host and port of a URL, read of its text: Foundation's `URL` mends what it reads, and a mended URL isn't the one that is sent.
struct Origin: Sendable, Hashable, CustomStringConvertible {
    /// In lower case.
    let scheme: String
    /// In lower case; an IPv6 address in its brackets.
    let host: String
    /// The scheme's own where the URL names none.
    let port: Int

    private static let ownPorts = ["https": 443, "http": 80]

    /// The origin as it stands before a path, its port left out where it is the scheme's own.
    var description: String { "\(scheme)://\(authority)" }

    /// Host and port as `Host` has them.
    var authority: String { port == Self.ownPorts[scheme] ? host : "\(host):\(port)" }

    /// Returns the origin of an absolute `http` or `https` URL, user information passed over; nil for anything else.
    static func of(_ url: String) -> Origin? {
        guard var authority = afterScheme(url) else { return nil }
        let scheme = Substring(url.utf8.prefix { $0 != UInt8(ascii: ":") }).lowercased()
        guard scheme.utf8.allSatisfy(isLetter), let own = ownPorts[scheme] else { return nil }
        if let end = authority.firstIndex(where: { isEnd($0) }) {
            guard !url.utf8[end...].contains(where: { $0 == 0x0a || $0 == 0x0d }) else { return nil }
            authority = authority[..<end]
        }
        // A user with a backslash or white space is a host to some readers.
        if let at = authority.firstIndex(of: UInt8(ascii: "@")) {
            guard !authority[..<at].contains(where: { $0 <= 0x20 || $0 == UInt8(ascii: "\\") }) else { return nil }
            authority = authority[authority.index(after: at)...]
        }
        guard let end = hostEnd(authority) else { return nil }
        var port = own
        if end < authority.endIndex {
            let digits = authority[authority.index(after: end)...]
            guard authority[end] == UInt8(ascii: ":"), digits.count <= 5, digits.allSatisfy(isDigit) else { return nil }
            port = digits.isEmpty ? own : Int(Substring(digits)) ?? 0
        }
        guard (1...65535).contains(port) else { return nil }
        return Origin(scheme: scheme, host: Substring(authority[..<end]).lowercased(), port: port)
    }

    /// Returns the origin that a configuration names: TLS, or not over any network.
    ///
    /// - Throws: `MalformedError` if it is none, or has a path.
    static func safe(_ url: String) throws -> Origin {
        guard let origin = of(url), origin.scheme == "https" || origin.isLoopback else {
            throw MalformedError(message: "got '\(url)', expected an origin such as https://api.example, or with http on loopback")
        }
        let slashes = url.utf8.lazy.filter { $0 == UInt8(ascii: "/") }.count - (url.utf8.last == UInt8(ascii: "/") ? 1 : 0)
        guard slashes == 2, !url.utf8.contains(UInt8(ascii: "?")), !url.utf8.contains(UInt8(ascii: "#")) else {
            throw MalformedError(message: "got '\(url)', expected an origin without a path")
        }
        return origin
    }

    /// Returns what stands behind `://`; nil if there is none, or another colon before it.
    static func afterScheme(_ url: String) -> Substring.UTF8View? {
        let behind = url.utf8.drop { $0 != UInt8(ascii: ":") }
        return behind.starts(with: "://".utf8) ? behind.dropFirst(3) : nil
    }

    private var isLoopback: Bool {
        if host == "localhost" || host == "[::1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { part in UInt8(part).map { String($0) == part } ?? false }
    }

    /// Returns where a name, an IPv4 address or an IPv6 address in brackets ends; nil if there is none.
    private static func hostEnd(_ authority: Substring.UTF8View) -> Substring.UTF8View.Index? {
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            let address = authority[authority.index(after: authority.startIndex)..<close]
            let isAddress = address.allSatisfy { isDigit($0) || isHexLetter($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }
            return isAddress && !address.isEmpty ? authority.index(after: close) : nil
        }
        let end = authority.firstIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
        let name = authority[..<end]
        guard !name.isEmpty, name.allSatisfy({ isLetter($0) || isDigit($0) || "._~%!$&'()*+,;=-".utf8.contains($0) }) else { return nil }
        return end
    }

    private static func isEnd(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#")
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) }

    private static func isHexLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20) }
}
