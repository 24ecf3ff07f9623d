// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.net.http;

import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.List;
import javax.net.ssl.X509TrustManager;

public class X509TrustManagerExtensions {
    private final X509TrustManager trust;

    public X509TrustManagerExtensions(X509TrustManager trust) {
        this.trust = trust;
    }

    /**
     * Android returns the chain up to the anchor; here it is what was presented, if it is trusted. Android goes by no authType,
     * where Java would refuse a certificate whose key isn't for that.
     */
    public List<X509Certificate> checkServerTrusted(X509Certificate[] chain, String authType, String host)
            throws CertificateException {
        trust.checkServerTrusted(chain, "UNKNOWN");
        return Arrays.asList(chain);
    }
}
