// swift-tools-version:5.9
import PackageDescription

let strict: [SwiftSetting] = [.enableExperimentalFeature("StrictConcurrency")]

#if os(Linux)
    // Here the SDK is tested: targets of the names of Apple's frameworks stand for them. A release has none of this.
    let frameworks: [Target.Dependency] = ["CryptoKit", "DeviceCheck"]
    let resources: [Resource] = []
    let unread = ["PrivacyInfo.xcprivacy"]
    let workshop: [Target] = [
        .systemLibrary(name: "COpenSSL", path: "Shims/COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .target(name: "CryptoKit", dependencies: ["COpenSSL"], path: "Shims/CryptoKit", swiftSettings: strict),
        .target(name: "DeviceCheck", dependencies: ["LabAttester"], path: "Shims/DeviceCheck", swiftSettings: strict),
        .executableTarget(name: "Measured", dependencies: ["WatchwordKit"], path: "Measured", swiftSettings: strict),
        .testTarget(name: "ShimTests", dependencies: ["CryptoKit"], exclude: ["cases.json"], swiftSettings: strict),
        .testTarget(
            name: "WatchwordKitTests", dependencies: ["WatchwordKit", "WatchwordTestInstance", "LabAttester"] + frameworks,
            swiftSettings: strict),
        .executableTarget(
            name: "EndToEnd", dependencies: ["WatchwordKit", "WatchwordTestInstance", "LabAttester"] + frameworks, path: "EndToEnd",
            swiftSettings: strict),
    ]
#else
    let frameworks: [Target.Dependency] = []
    let resources: [Resource] = [.copy("PrivacyInfo.xcprivacy")]
    let unread: [String] = []
    let workshop: [Target] = []
#endif

let package = Package(
    name: "WatchwordKit",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [
        .library(name: "WatchwordKit", targets: ["WatchwordKit"]),
        .library(name: "WatchwordTestInstance", targets: ["WatchwordTestInstance"]),
    ],
    targets: [
        .target(name: "WatchwordKit", dependencies: frameworks, exclude: unread, resources: resources, swiftSettings: strict),
        .target(name: "LabAttester", swiftSettings: strict),
        .target(name: "WatchwordTestInstance", dependencies: ["WatchwordKit", "LabAttester"] + frameworks, swiftSettings: strict),
    ] + workshop
)
