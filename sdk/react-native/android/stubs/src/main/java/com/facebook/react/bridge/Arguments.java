package com.facebook.react.bridge;

public final class Arguments {
    private Arguments() {}

    public static WritableMap createMap() {
        return new JavaOnlyMap();
    }
}
