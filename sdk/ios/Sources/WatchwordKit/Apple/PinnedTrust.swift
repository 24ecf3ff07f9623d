import Foundation

extension PinPorts {
    @Sendable public static func systemChains(_ presented: [Data], _ host: String) throws -> [Data] { [] }
}
