#import "RCTWatchword.h"

#import <React/RCTHTTPRequestHandler.h>

#if __has_include(<WatchwordReactNative/WatchwordReactNative-Swift.h>)
#import <WatchwordReactNative/WatchwordReactNative-Swift.h>
#else
#import "WatchwordReactNative-Swift.h"
#endif

static NSArray<NSString *> *Texts(const facebook::react::LazyVector<NSString *> &list)
{
  NSMutableArray<NSString *> *texts = [NSMutableArray new];
  for (NSString *text : list) {
    [texts addObject:text];
  }
  return texts;
}

/// JavaScript reads the details of a rejection in `userInfo`, which is the NSError's.
static void (^Settled(RCTPromiseResolveBlock resolve, RCTPromiseRejectBlock reject))(NSString *, NSString *, NSDictionary *)
{
  return ^(NSString *code, NSString *message, NSDictionary *details) {
    if (code == nil) {
      resolve(nil);
    } else {
      reject(code, message, [NSError errorWithDomain:@"dev.watchword" code:1 userInfo:details]);
    }
  };
}

@implementation RCTWatchword {
  NSUUID *_listener;
}

+ (NSString *)moduleName
{
  return @"Watchword";
}

/// Before React Native makes its session, which it does with its first request: no request of `fetch` goes by one without Watchword.
/// What it sets itself is in RCTHTTPRequestHandler.mm, and stands here likewise.
+ (void)load
{
  RCTSetCustomNSURLSessionConfigurationProvider(^NSURLSessionConfiguration * {
    NSURLSessionConfiguration *configuration = [NSURLSessionConfiguration defaultSessionConfiguration];
    NSNumber *wifiOnly = [[NSBundle mainBundle] infoDictionary][@"ReactNetworkForceWifiOnly"];
    if (wifiOnly != nil) {
      configuration.allowsCellularAccess = !wifiOnly.boolValue;
    }
    configuration.HTTPShouldSetCookies = YES;
    configuration.HTTPCookieAcceptPolicy = NSHTTPCookieAcceptPolicyAlways;
    configuration.HTTPCookieStorage = [NSHTTPCookieStorage sharedHTTPCookieStorage];
    [WWReactNative intercept:configuration];
    return configuration;
  });
}

- (void)setEventEmitterCallback:(EventEmitterCallbackWrapper *)eventEmitterCallbackWrapper
{
  [super setEventEmitterCallback:eventEmitterCallbackWrapper];
  __weak RCTWatchword *weakSelf = self;
  _listener = [WWReactNative listen:^(NSDictionary<NSString *, id> *failure) {
    [weakSelf emitOnError:failure];
  }];
}

- (void)invalidate
{
  if (_listener != nil) {
    [WWReactNative forget:_listener];
  }
}

- (NSString *)configure:(JS::NativeWatchword::NativeConfiguration &)configuration
{
  NSMutableArray *apis = [NSMutableArray new];
  for (JS::NativeWatchword::NativeApi api : configuration.apis()) {
    [apis addObject:@{
      @"audience" : api.audience(),
      @"origins" : Texts(api.origins()),
      @"device" : Texts(api.device()),
      @"session" : Texts(api.session()),
      @"bearer" : Texts(api.bearer()),
      @"otherwise" : api.otherwise(),
      @"dpop" : @(api.dpop()),
      @"sendUnproved" : @(api.sendUnproved()),
    }];
  }
  NSMutableDictionary *said = [NSMutableDictionary dictionaryWithDictionary:@{
    @"service" : configuration.service(),
    @"app" : configuration.app(),
    @"apis" : apis,
    @"waitSeconds" : @(configuration.waitSeconds()),
  }];
  said[@"issuer"] = configuration.issuer();
  said[@"pins"] = configuration.pins();
  said[@"testInstance"] = configuration.testInstance();
  if (auto lab = configuration.lab()) {
    said[@"lab"] = @{@"attester" : lab->attester(), @"kind" : lab->kind(), @"device" : lab->device()};
  }
  return [WWReactNative configure:said];
}

- (NSNumber *)bind:(NSString *_Nullable)value
{
  return @([WWReactNative bind:value]);
}

- (void)prefetch
{
  [WWReactNative prefetch];
}

- (void)forgetSecret:(NSString *)name
{
  [WWReactNative forgetSecret:name];
}

- (void)ready:(RCTPromiseResolveBlock)resolve reject:(RCTPromiseRejectBlock)reject
{
  [WWReactNative ready:Settled(resolve, reject)];
}

- (void)enrol:(RCTPromiseResolveBlock)resolve reject:(RCTPromiseRejectBlock)reject
{
  [WWReactNative enrol:Settled(resolve, reject)];
}

- (void)secret:(NSString *)name resolve:(RCTPromiseResolveBlock)resolve reject:(RCTPromiseRejectBlock)reject
{
  void (^settled)(NSString *, NSString *, NSDictionary *) = Settled(resolve, reject);
  [WWReactNative secret:name
                   done:^(NSString *value, NSString *code, NSString *message, NSDictionary *details) {
                     if (code == nil) {
                       resolve(value);
                     } else {
                       settled(code, message, details);
                     }
                   }];
}

- (void)status:(RCTPromiseResolveBlock)resolve reject:(RCTPromiseRejectBlock)reject
{
  [WWReactNative status:^(NSDictionary *status) {
    resolve(status);
  }];
}

- (std::shared_ptr<facebook::react::TurboModule>)getTurboModule:(const facebook::react::ObjCTurboModule::InitParams &)params
{
  return std::make_shared<facebook::react::NativeWatchwordSpecJSI>(params);
}

@end
