// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.security.keystore;

import java.security.ProviderException;

public class BackendBusyException extends ProviderException {
    private static final long serialVersionUID = 1L;

    private final long backOffHintMillis;

    public BackendBusyException(long backOffHintMillis) {
        this.backOffHintMillis = backOffHintMillis;
    }

    public long getBackOffHintMillis() {
        return backOffHintMillis;
    }
}
