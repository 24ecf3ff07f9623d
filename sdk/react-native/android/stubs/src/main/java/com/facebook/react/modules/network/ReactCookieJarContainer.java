package com.facebook.react.modules.network;

import java.util.Collections;
import java.util.List;
import okhttp3.Cookie;
import okhttp3.CookieJar;
import okhttp3.HttpUrl;

public class ReactCookieJarContainer implements CookieJarContainer {
    private CookieJar held;

    @Override
    public void setCookieJar(CookieJar cookieJar) {
        held = cookieJar;
    }

    @Override
    public void removeCookieJar() {
        held = null;
    }

    @Override
    public void saveFromResponse(HttpUrl url, List<Cookie> cookies) {
        if (held != null) held.saveFromResponse(url, cookies);
    }

    @Override
    public List<Cookie> loadForRequest(HttpUrl url) {
        return held == null ? Collections.emptyList() : held.loadForRequest(url);
    }
}
