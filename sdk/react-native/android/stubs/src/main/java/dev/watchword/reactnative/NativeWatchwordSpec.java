// Written by codegen of React Native: `node tests/codegen.cjs DIRECTORY`.
package dev.watchword.reactnative;

import com.facebook.proguard.annotations.DoNotStrip;
import com.facebook.react.bridge.Promise;
import com.facebook.react.bridge.ReactApplicationContext;
import com.facebook.react.bridge.ReactContextBaseJavaModule;
import com.facebook.react.bridge.ReactMethod;
import com.facebook.react.bridge.ReadableMap;
import com.facebook.react.turbomodule.core.interfaces.TurboModule;
import javax.annotation.Nonnull;
import javax.annotation.Nullable;

public abstract class NativeWatchwordSpec extends ReactContextBaseJavaModule implements TurboModule {
  public static final String NAME = "Watchword";

  public NativeWatchwordSpec(ReactApplicationContext reactContext) {
    super(reactContext);
  }

  @Override
  public @Nonnull String getName() {
    return NAME;
  }

  protected final void emitOnError(ReadableMap value) {
    mEventEmitterCallback.invoke("onError", value);
  }

  @ReactMethod(isBlockingSynchronousMethod = true)
  @DoNotStrip
  public abstract String configure(ReadableMap configuration);

  @ReactMethod(isBlockingSynchronousMethod = true)
  @DoNotStrip
  public abstract boolean bind(@Nullable String value);

  @ReactMethod
  @DoNotStrip
  public abstract void prefetch();

  @ReactMethod
  @DoNotStrip
  public abstract void forgetSecret(String name);

  @ReactMethod
  @DoNotStrip
  public abstract void ready(Promise promise);

  @ReactMethod
  @DoNotStrip
  public abstract void enrol(Promise promise);

  @ReactMethod
  @DoNotStrip
  public abstract void secret(String name, Promise promise);

  @ReactMethod
  @DoNotStrip
  public abstract void status(Promise promise);
}
