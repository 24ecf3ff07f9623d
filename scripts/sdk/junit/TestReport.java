import java.io.IOException;
import java.io.PrintWriter;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/** Runs test classes and writes a line for each test into a file: its name, how it ended and why, each percent-encoded. */
final class TestReport extends RunListener {
    private final PrintWriter report;
    private final Set<Description> told = new HashSet<>();

    private TestReport(PrintWriter report) {
        this.report = report;
    }

    public static void main(String[] arguments) throws ClassNotFoundException, IOException {
        try (PrintWriter report = new PrintWriter(arguments[0], StandardCharsets.UTF_8)) {
            JUnitCore core = new JUnitCore();
            core.addListener(new TestReport(report));
            for (int at = 1; at < arguments.length; at++) {
                core.run(Class.forName(arguments[at]));
            }
        }
        // What a test left running must not hold the process.
        System.exit(0);
    }

    @Override
    public void testFinished(Description test) {
        tell(test, "passed", "");
    }

    @Override
    public void testIgnored(Description test) {
        tell(test, "skipped", "");
    }

    @Override
    public void testAssumptionFailure(Failure failure) {
        tell(failure.getDescription(), "skipped", String.valueOf(failure.getMessage()));
    }

    @Override
    public void testFailure(Failure failure) {
        tell(failure.getDescription(), "failed", failure.getTrimmedTrace());
    }

    private void tell(Description test, String status, String message) {
        if (told.add(test)) {
            String method = test.getMethodName() == null ? "" : "." + test.getMethodName();
            String name = test.getClassName().replaceAll(".*\\.", "") + method;
            report.println(String.join(" ", encoded(name), status, encoded(message)));
        }
    }

    private static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }
}
