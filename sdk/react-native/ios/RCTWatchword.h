#import <WatchwordSpec/WatchwordSpec.h>

/// Hands calls of JavaScript to Swift. Never compiled here: it needs Xcode and React Native's headers.
@interface RCTWatchword : NativeWatchwordSpecBase <NativeWatchwordSpec>
@end
