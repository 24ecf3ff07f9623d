package com.facebook.react.bridge;

import java.util.HashMap;
import java.util.Map;

/** React Native has one too, for its own tests; its native map is C++. */
public class JavaOnlyMap implements WritableMap {
    private final HashMap<String, Object> held = new HashMap<>();

    public static JavaOnlyMap from(Map<String, Object> map) {
        JavaOnlyMap made = new JavaOnlyMap();
        made.held.putAll(map);
        return made;
    }

    @Override
    public HashMap<String, Object> toHashMap() {
        return held;
    }

    @Override
    public void putBoolean(String key, boolean value) {
        held.put(key, value);
    }

    @Override
    public void putDouble(String key, double value) {
        held.put(key, value);
    }

    @Override
    public void putString(String key, String value) {
        held.put(key, value);
    }
}
