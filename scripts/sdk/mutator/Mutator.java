import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.jetbrains.kotlin.cli.common.ExitCode;
import org.jetbrains.kotlin.cli.jvm.K2JVMCompiler;
import org.junit.runner.Description;
import org.junit.runner.Request;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;
import org.junit.runner.notification.RunNotifier;
import org.junit.runner.notification.StoppedByUserException;

/**
 * Compiles each of many changed files of a module in one process, and runs the module's tests until one fails.
 *
 * Arguments: a list with a line for each file (name, tab, path), the class path to compile with, the class path of the tests,
 * the compiler's options (joined by spaces), then the test classes. The first file is as it is: the tests have to pass, and
 * twice their time is what each other one has.
 *
 * Writes a line for each: name, tab, `alive` or what killed it.
 */
final class Mutator {
    private static final long LEAST_MILLIS = 60_000;

    private final String[] arguments;

    private Mutator(String[] arguments) {
        this.arguments = arguments;
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        // What tests and compiler print is nobody's.
        System.setOut(new PrintStream(OutputStream.nullOutputStream()));
        Mutator mutator = new Mutator(arguments);
        long limit = Long.MAX_VALUE;
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            String[] parts = line.split("\t");
            long start = System.nanoTime();
            out.println(parts[0] + "\t" + mutator.judge(Path.of(parts[1]), limit));
            out.flush();
            if (limit == Long.MAX_VALUE) {
                limit = Math.max(LEAST_MILLIS, (System.nanoTime() - start) / 500_000);
            }
        }
        System.exit(0);
    }

    private String judge(Path source, long limit) throws Exception {
        Path classes = Files.createTempDirectory("mutant");
        List<String> options = new ArrayList<>(List.of(arguments[3].split(" ")));
        options.addAll(List.of("-cp", arguments[1], "-d", classes.toString(), source.toString()));
        PrintStream errors = new PrintStream(OutputStream.nullOutputStream());
        ExitCode code = new K2JVMCompiler().exec(errors, options.toArray(new String[0]));
        if (code != ExitCode.OK) {
            return "doesn't compile";
        }
        AtomicReference<String> killer = new AtomicReference<>("alive");
        Thread thread = new Thread(() -> killer.set(run(classes)));
        thread.setDaemon(true);
        thread.start();
        thread.join(limit == Long.MAX_VALUE ? 0 : limit);
        return thread.isAlive() ? "no end" : killer.get();
    }

    private String run(Path classes) {
        List<URL> urls = new ArrayList<>();
        try {
            urls.add(classes.toUri().toURL());
            for (String jar : arguments[2].split(File.pathSeparator)) {
                urls.add(Path.of(jar).toUri().toURL());
            }
            ClassLoader loader = new URLClassLoader(urls.toArray(new URL[0]), Mutator.class.getClassLoader());
            for (int at = 4; at < arguments.length; at++) {
                String killer = run(Class.forName(arguments[at], true, loader));
                if (killer != null) {
                    return killer;
                }
            }
            return "alive";
        } catch (IOException | ReflectiveOperationException | LinkageError error) {
            return error.toString();
        }
    }

    /** Returns the first test that fails, null if all pass. */
    private static String run(Class<?> tests) {
        AtomicReference<String> killer = new AtomicReference<>();
        RunNotifier notifier = new RunNotifier();
        notifier.addListener(
                new RunListener() {
                    @Override
                    public void testFailure(Failure failure) {
                        Description test = failure.getDescription();
                        killer.compareAndSet(null, test.getTestClass().getSimpleName() + "." + test.getMethodName());
                        notifier.pleaseStop();
                    }
                });
        try {
            Request.aClass(tests).getRunner().run(notifier);
        } catch (StoppedByUserException stopped) {
            return killer.get();
        }
        return killer.get();
    }
}
