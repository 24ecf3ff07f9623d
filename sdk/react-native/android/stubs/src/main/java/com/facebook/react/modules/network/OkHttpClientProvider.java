package com.facebook.react.modules.network;

import android.content.Context;
import java.io.File;
import java.util.concurrent.TimeUnit;
import okhttp3.Cache;
import okhttp3.OkHttpClient;

public final class OkHttpClientProvider {
    private static final int CACHE_BYTES = 10 * 1024 * 1024;
    private static OkHttpClientFactory factory;

    private OkHttpClientProvider() {}

    public static void setOkHttpClientFactory(OkHttpClientFactory factory) {
        OkHttpClientProvider.factory = factory;
    }

    public static OkHttpClient createClient(Context context) {
        return factory == null ? createClientBuilder(context).build() : factory.createNewNetworkModuleClient();
    }

    public static OkHttpClient.Builder createClientBuilder() {
        return new OkHttpClient.Builder()
                .connectTimeout(0, TimeUnit.MILLISECONDS)
                .readTimeout(0, TimeUnit.MILLISECONDS)
                .writeTimeout(0, TimeUnit.MILLISECONDS)
                .cookieJar(new ReactCookieJarContainer());
    }

    public static OkHttpClient.Builder createClientBuilder(Context context) {
        return createClientBuilder().cache(new Cache(new File(context.getCacheDir(), "http-cache"), CACHE_BYTES));
    }
}
