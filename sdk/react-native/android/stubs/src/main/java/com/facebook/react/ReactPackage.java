package com.facebook.react;

import com.facebook.react.bridge.NativeModule;
import com.facebook.react.bridge.ReactApplicationContext;

public interface ReactPackage {
    NativeModule getModule(String name, ReactApplicationContext reactContext);
}
