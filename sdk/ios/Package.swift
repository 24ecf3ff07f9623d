// swift-tools-version:5.9
import PackageDescription

let strict: [SwiftSetting] = [.enableExperimentalFeature("StrictConcurrency")]

// On Linux, where the SDK is tested, targets of the names of Apple's frameworks stand for them; elsewhere there are none.
#if os(Linux)
    let frameworks: [Target.Dependency] = ["CryptoKit", "DeviceCheck"]
    let privacy: [Resource] = []
    let unread = ["PrivacyInfo.xcprivacy"]
    let shims: [Target] = [
        .systemLibrary(name: "COpenSSL", path: "Shims/COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .target(name: "CryptoKit", dependencies: ["COpenSSL"], path: "Shims/CryptoKit", swiftSettings: strict),
        .target(name: "DeviceCheck", path: "Shims/DeviceCheck", swiftSettings: strict),
        .testTarget(name: "ShimTests", dependencies: ["CryptoKit"], exclude: ["cases.json"], swiftSettings: strict),
    ]
#else
    let frameworks: [Target.Dependency] = []
    let privacy: [Resource] = [.copy("PrivacyInfo.xcprivacy")]
    let unread: [String] = []
    let shims: [Target] = []
#endif

let package = Package(
    name: "WatchwordKit",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [
        .library(name: "WatchwordKit", targets: ["WatchwordKit"]),
        .library(name: "WatchwordTestInstance", targets: ["WatchwordTestInstance"]),
    ],
    targets: [
        .target(name: "WatchwordKit", dependencies: frameworks, exclude: unread, resources: privacy, swiftSettings: strict),
        .target(name: "WatchwordTestInstance", dependencies: ["WatchwordKit"] + frameworks, swiftSettings: strict),
        .testTarget(
            name: "WatchwordKitTests", dependencies: ["WatchwordKit", "WatchwordTestInstance"] + frameworks, swiftSettings: strict),
    ] + shims
)
