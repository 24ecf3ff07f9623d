// swift-tools-version:5.9
// For tests alone: apps get these sources by the podspec.
import PackageDescription

let strict: [SwiftSetting] = [.enableExperimentalFeature("StrictConcurrency")]
let kit = "ios"

let package = Package(
    name: "WatchwordReactNative",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "WatchwordReactNative", targets: ["WatchwordReactNative"])],
    dependencies: [.package(path: "../ios")],
    targets: [
        .target(
            name: "WatchwordReactNative",
            dependencies: [.product(name: "WatchwordKit", package: kit), .product(name: "WatchwordTestInstance", package: kit)],
            path: "ios/Sources/WatchwordReactNative", swiftSettings: strict),
        .testTarget(
            name: "WatchwordReactNativeTests", dependencies: ["WatchwordReactNative"], path: "ios/Tests/WatchwordReactNativeTests",
            swiftSettings: strict),
    ]
)
