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

    /** Android returns the chain up to the anchor; here it is what was presented, if it is trusted. */
    public List<X509Certificate> checkServerTrusted(X509Certificate[] chain, String authType, String host)
            throws CertificateException {
        trust.checkServerTrusted(chain, authType);
        return Arrays.asList(chain);
    }
}
