import Foundation

/// Says that something isn't of the protocol; holds nothing of it but lengths and the names of members.
struct MalformedError: Error, CustomStringConvertible {
    let message: String

    var description: String { message }
}

/// A value of a JSON document.
///
/// Texts are alike if their bytes are: what Unicode calls equivalent, as Swift's `==` does, stays apart.
enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case text(String)
    case list([JSON])
    case object(JSONObject)

    var text: String? {
        if case .text(let value) = self { return value }
        return nil
    }

    var integer: Int64? {
        if case .integer(let value) = self { return value }
        return nil
    }

    /// A number of either kind and of either sign.
    var seconds: Double? {
        switch self {
        case .integer(let value): return Double(value)
        case .number(let value): return value
        default: return nil
        }
    }

    var list: [JSON]? {
        if case .list(let value) = self { return value }
        return nil
    }

    var object: JSONObject? {
        if case .object(let value) = self { return value }
        return nil
    }

    static func == (left: JSON, right: JSON) -> Bool {
        switch (left, right) {
        case (.null, .null): return true
        case (.bool(let one), .bool(let other)): return one == other
        case (.integer(let one), .integer(let other)): return one == other
        case (.number(let one), .number(let other)): return one == other
        case (.text(let one), .text(let other)): return isSame(one, other)
        case (.list(let one), .list(let other)): return one == other
        case (.object(let one), .object(let other)): return one == other
        default: return false
        }
    }
}

/// A JSON object that keeps the order of its members, in which it is written.
///
/// Two are equal if they have the same members, in whatever order.
struct JSONObject: Sendable, Equatable {
    private struct Member: Sendable {
        let name: String
        var value: JSON
    }

    /// More levels than the protocol's deepest document has, few enough for any stack.
    static let maxDepth = 8

    private var members: [Member] = []

    init() {}

    /// Adds a member that the reader saw to be none that is here.
    fileprivate mutating func append(_ name: String, _ value: JSON) {
        members.append(Member(name: name, value: value))
    }

    /// The names, in their order.
    var names: [String] { members.map(\.name) }

    subscript(_ name: String) -> JSON? {
        get { members.first { isSame($0.name, name) }?.value }
        set {
            let place = members.firstIndex { isSame($0.name, name) }
            switch (place, newValue) {
            case (let place?, let value?): members[place].value = value
            case (let place?, nil): members.remove(at: place)
            case (nil, let value?): append(name, value)
            case (nil, nil): break
            }
        }
    }

    /// Returns a member that is a text of at least one character.
    func text(_ name: String) throws -> String {
        guard let value = self[name]?.text, !value.isEmpty else { throw MalformedError(message: "expected the text '\(name)'") }
        return value
    }

    /// Returns a member that is a number of at least 0.
    func seconds(_ name: String) throws -> Double {
        guard let value = self[name]?.seconds, value >= 0 else { throw MalformedError(message: "expected the number '\(name)'") }
        return value
    }

    /// Returns a member that is an object.
    func object(_ name: String) throws -> JSONObject {
        guard let value = self[name]?.object else { throw MalformedError(message: "expected the object '\(name)'") }
        return value
    }

    static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.members.count == right.members.count && left.members.allSatisfy { right[$0.name] == $0.value }
    }

    /// Returns the object in `data`: UTF-8, no byte order mark, no name twice, no NaN, at most `maxDepth` levels.
    ///
    /// - Parameter limit: most bytes that are accepted, looked at before anything is read.
    /// - Throws: `MalformedError` if it isn't one.
    static func read(_ data: Data, limit: Int) throws -> JSONObject {
        guard data.count <= limit else { throw MalformedError(message: "got \(data.count) bytes, expected at most \(limit)") }
        let bytes = [UInt8](data)
        // What isn't UTF-8 is decoded to other bytes than it had. A byte order mark is no white space, and so refused below.
        guard String(decoding: bytes, as: UTF8.self).utf8.elementsEqual(bytes) else {
            throw MalformedError(message: "got bytes that aren't UTF-8")
        }
        var reader = Reader(bytes)
        return try reader.document()
    }

    /// Returns compact UTF-8, members in their order. A number that isn't finite, which JSON hasn't, is written as null.
    func written() -> Data {
        var out = Data()
        JSON.object(self).write(to: &out)
        return out
    }

    fileprivate func write(to out: inout Data) {
        out.append(UInt8(ascii: "{"))
        for (place, member) in members.enumerated() {
            if place > 0 { out.append(UInt8(ascii: ",")) }
            JSON.text(member.name).write(to: &out)
            out.append(UInt8(ascii: ":"))
            member.value.write(to: &out)
        }
        out.append(UInt8(ascii: "}"))
    }
}

/// Tells whether two texts have the same bytes.
private func isSame(_ left: String, _ right: String) -> Bool {
    left.utf8.elementsEqual(right.utf8)
}

extension JSON {
    fileprivate func write(to out: inout Data) {
        switch self {
        case .null: out.append(contentsOf: "null".utf8)
        case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): out.append(contentsOf: String(value).utf8)
        case .number(let value): out.append(contentsOf: (value.isFinite ? value.description : "null").utf8)
        case .text(let value): Self.write(value, to: &out)
        case .object(let value): value.write(to: &out)
        case .list(let values):
            out.append(UInt8(ascii: "["))
            for (place, value) in values.enumerated() {
                if place > 0 { out.append(UInt8(ascii: ",")) }
                value.write(to: &out)
            }
            out.append(UInt8(ascii: "]"))
        }
    }

    private static func write(_ text: String, to out: inout Data) {
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            if let letter = escapes.first(where: { $0.byte == byte })?.letter, letter != UInt8(ascii: "/") {
                out.append(contentsOf: [UInt8(ascii: "\\"), letter])
            } else if byte < 0x20 {
                out.append(contentsOf: "\\u00".utf8)
                out.append(contentsOf: [hexadecimal[Int(byte >> 4)], hexadecimal[Int(byte & 15)]])
            } else {
                out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}

private let hexadecimal = Array("0123456789abcdef".utf8)

/// What stands behind a backslash for one byte.
private let escapes: [(letter: UInt8, byte: UInt8)] = [
    (UInt8(ascii: "\""), UInt8(ascii: "\"")), (UInt8(ascii: "\\"), UInt8(ascii: "\\")), (UInt8(ascii: "/"), UInt8(ascii: "/")),
    (UInt8(ascii: "b"), 0x08), (UInt8(ascii: "f"), 0x0c), (UInt8(ascii: "n"), 0x0a), (UInt8(ascii: "r"), 0x0d), (UInt8(ascii: "t"), 0x09),
]

/// Reads a document of UTF-8. Every index is checked before it is used, and depth is bounded: no input ends the app.
private struct Reader {
    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws -> JSONObject {
        blank()
        guard try peek() == UInt8(ascii: "{") else { throw refusal("expected an object") }
        let value = try members(depth: 1)
        blank()
        guard at == bytes.count else { throw refusal("expected nothing more") }
        return value
    }

    private mutating func value(depth: Int) throws -> JSON {
        switch try peek() {
        case UInt8(ascii: "{"): return .object(try members(depth: depth + 1))
        case UInt8(ascii: "["): return .list(try items(depth: depth + 1))
        case UInt8(ascii: "\""): return .text(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func members(depth: Int) throws -> JSONObject {
        var out = JSONObject()
        // Bytes, not texts: of two names that Unicode calls equivalent neither may stand for the other.
        var seen = Set<[UInt8]>()
        try elements("{", "}", depth: depth) { reader in
            guard try reader.peek() == UInt8(ascii: "\"") else { throw reader.refusal("expected a name") }
            let name = try reader.string()
            reader.blank()
            try reader.take(":")
            reader.blank()
            guard seen.insert(Array(name.utf8)).inserted else { throw reader.refusal("got a name twice") }
            out.append(name, try reader.value(depth: depth))
        }
        return out
    }

    private mutating func items(depth: Int) throws -> [JSON] {
        var out: [JSON] = []
        try elements("[", "]", depth: depth) { reader in out.append(try reader.value(depth: depth)) }
        return out
    }

    private mutating func elements(
        _ open: Unicode.Scalar, _ close: Unicode.Scalar, depth: Int, element: (inout Reader) throws -> Void
    ) throws {
        guard depth <= JSONObject.maxDepth else { throw refusal("got more than \(JSONObject.maxDepth) levels") }
        try take(open)
        blank()
        if try peek() == UInt8(ascii: close) {
            at += 1
            return
        }
        while true {
            try element(&self)
            blank()
            if try peek() == UInt8(ascii: close) { break }
            try take(",")
            blank()
        }
        at += 1
    }

    private mutating func string() throws -> String {
        try take("\"")
        var out: [UInt8] = []
        while true {
            let byte = try next()
            if byte == UInt8(ascii: "\"") { break }
            guard byte >= 0x20 else { throw refusal("got a control character in a text") }
            if byte == UInt8(ascii: "\\") {
                try escaped(to: &out)
            } else {
                out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private mutating func escaped(to out: inout [UInt8]) throws {
        let letter = try next()
        if let byte = escapes.first(where: { $0.letter == letter })?.byte {
            out.append(byte)
            return
        }
        guard letter == UInt8(ascii: "u") else { throw refusal("got an escape that isn't one") }
        var code = try codeUnit()
        if code >> 10 == 0xd800 >> 10, at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") {
            at += 2
            let low = try codeUnit()
            guard low >> 10 == 0xdc00 >> 10 else { throw refusal("got half of a surrogate pair") }
            code = 0x10000 + (code & 0x3ff) << 10 + low & 0x3ff
        }
        guard let scalar = Unicode.Scalar(code) else { throw refusal("got half of a surrogate pair") }
        out.append(contentsOf: Character(scalar).utf8)
    }

    private mutating func codeUnit() throws -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            let byte = try next()
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw refusal("got an escape that isn't one") }
            code = code * 16 + UInt32(digit)
        }
        return code
    }

    private mutating func number() throws -> JSON {
        let start = at
        skip("-")
        let first = at
        let whole = digits()
        // A bound on digits keeps reading linear; nothing in the protocol comes near it.
        guard (1...401).contains(whole), whole == 1 || bytes[first] != UInt8(ascii: "0") else { throw refusal("expected a value") }
        let isWhole = try !fraction()
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        if isWhole {
            guard let value = Int64(text) else { throw refusal("got a number of more than 64 bits") }
            return .integer(value)
        }
        guard let value = Double(text), value.isFinite else { throw refusal("got a number out of range") }
        return .number(value)
    }

    /// Passes a fraction and an exponent, and tells whether there was one of them.
    private mutating func fraction() throws -> Bool {
        let start = at
        if skip(".") {
            guard (1...400).contains(digits()) else { throw refusal("expected a fraction") }
        }
        if skip("e") || skip("E") {
            if !skip("+") { skip("-") }
            guard (1...9).contains(digits()) else { throw refusal("expected an exponent") }
        }
        return at > start
    }

    /// Passes digits, and returns how many there were.
    private mutating func digits() -> Int {
        let start = at
        while at < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[at]) { at += 1 }
        return at - start
    }

    private mutating func word(_ word: String, _ value: JSON) throws -> JSON {
        guard bytes[at...].starts(with: word.utf8) else { throw refusal("expected a value") }
        at += word.utf8.count
        return value
    }

    private mutating func blank() {
        while at < bytes.count, [0x20, 0x09, 0x0d, 0x0a].contains(bytes[at]) { at += 1 }
    }

    private func peek() throws -> UInt8 {
        guard at < bytes.count else { throw refusal("got too little") }
        return bytes[at]
    }

    private mutating func next() throws -> UInt8 {
        let byte = try peek()
        at += 1
        return byte
    }

    private mutating func take(_ wanted: Unicode.Scalar) throws {
        guard try next() == UInt8(ascii: wanted) else { throw refusal("expected '\(wanted)'") }
    }

    @discardableResult
    private mutating func skip(_ wanted: Unicode.Scalar) -> Bool {
        guard at < bytes.count, bytes[at] == UInt8(ascii: wanted) else { return false }
        at += 1
        return true
    }

    private func refusal(_ what: String) -> MalformedError {
        MalformedError(message: "got invalid JSON: \(what) at byte \(at)")
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByFloatLiteral {
    init(stringLiteral value: String) { self = .text(value) }
    init(integerLiteral value: Int64) { self = .integer(value) }
    init(booleanLiteral value: Bool) { self = .bool(value) }
    init(floatLiteral value: Double) { self = .number(value) }
}

extension JSON: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    init(arrayLiteral elements: JSON...) { self = .list(elements) }

    init(dictionaryLiteral elements: (String, JSON)...) {
        var object = JSONObject()
        for (name, value) in elements { object[name] = value }
        self = .object(object)
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    init(dictionaryLiteral elements: (String, JSON)...) {
        self.init()
        for (name, value) in elements { self[name] = value }
    }
}
