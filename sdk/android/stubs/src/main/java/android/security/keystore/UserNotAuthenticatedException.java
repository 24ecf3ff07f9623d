// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.security.keystore;

public class UserNotAuthenticatedException extends java.security.InvalidKeyException {
    private static final long serialVersionUID = 1L;

    public UserNotAuthenticatedException() {}

    public UserNotAuthenticatedException(String message) {
        super(message);
    }

    public UserNotAuthenticatedException(String message, Throwable cause) {
        super(message, cause);
    }
}
