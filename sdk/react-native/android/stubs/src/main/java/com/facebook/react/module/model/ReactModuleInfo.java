package com.facebook.react.module.model;

public class ReactModuleInfo {
    private final String name;
    private final boolean isTurboModule;
    private final boolean needsEagerInit;

    public ReactModuleInfo(
            String name,
            String className,
            boolean canOverrideExistingModule,
            boolean needsEagerInit,
            boolean isCxxModule,
            boolean isTurboModule) {
        this.name = name;
        this.needsEagerInit = needsEagerInit;
        this.isTurboModule = isTurboModule;
    }

    public String name() {
        return name;
    }

    public boolean needsEagerInit() {
        return needsEagerInit;
    }

    public boolean isTurboModule() {
        return isTurboModule;
    }
}
