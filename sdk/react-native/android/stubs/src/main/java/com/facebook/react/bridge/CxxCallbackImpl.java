package com.facebook.react.bridge;

/** The phone's goes to JavaScript; a test's hears what would. */
public class CxxCallbackImpl implements Callback {
    private final Callback heard;

    public CxxCallbackImpl(Callback heard) {
        this.heard = heard;
    }

    @Override
    public void invoke(Object... args) {
        heard.invoke(args);
    }
}
