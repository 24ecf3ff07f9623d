package com.facebook.react.bridge;

import android.content.Context;
import android.content.ContextWrapper;

public abstract class ReactContext extends ContextWrapper {
    public ReactContext(Context base) {
        super(base);
    }
}
