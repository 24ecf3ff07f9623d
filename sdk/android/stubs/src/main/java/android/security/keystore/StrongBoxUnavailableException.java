// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.security.keystore;

public class StrongBoxUnavailableException extends java.security.ProviderException {
    private static final long serialVersionUID = 1L;

    public StrongBoxUnavailableException() {}

    public StrongBoxUnavailableException(String message) {
        super(message);
    }

    public StrongBoxUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
