package com.facebook.react.bridge;

public abstract class BaseJavaModule implements NativeModule {
    protected CxxCallbackImpl mEventEmitterCallback;
    private final ReactApplicationContext context;

    public BaseJavaModule(ReactApplicationContext reactContext) {
        context = reactContext;
    }

    protected final ReactApplicationContext getReactApplicationContext() {
        return context;
    }

    protected void setEventEmitterCallback(CxxCallbackImpl eventEmitterCallback) {
        mEventEmitterCallback = eventEmitterCallback;
    }

    @Override
    public void initialize() {}

    @Override
    public void invalidate() {}
}
