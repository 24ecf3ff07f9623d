package dev.watchword.reactnative

import com.facebook.react.BaseReactPackage
import com.facebook.react.bridge.NativeModule
import com.facebook.react.bridge.ReactApplicationContext
import com.facebook.react.module.model.ReactModuleInfo
import com.facebook.react.module.model.ReactModuleInfoProvider

/** What autolinking finds. It is made before JavaScript runs, so no request of `fetch` goes by a client without Watchword. */
public class WatchwordPackage : BaseReactPackage() {
    init {
        WatchwordReactNative.install()
    }

    override fun getModule(name: String, reactContext: ReactApplicationContext): NativeModule? =
        if (name == NativeWatchwordSpec.NAME) WatchwordModule(reactContext) else null

    override fun getReactModuleInfoProvider(): ReactModuleInfoProvider = ReactModuleInfoProvider {
        // Made at once: React Native's client takes its cache from this module's context.
        val info = ReactModuleInfo(NativeWatchwordSpec.NAME, NativeWatchwordSpec.NAME, false, true, false, true)
        mapOf(NativeWatchwordSpec.NAME to info)
    }
}
